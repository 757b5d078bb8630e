import { once } from 'node:events'
import autocannon from 'autocannon'
import type { Load, LoadResult } from './load.ts'
import { FORM_TYPE } from './photos.ts'

const [{ url, forms, connections, seconds }] = (await once(process, 'message')) as [Load]
const result = await autocannon({
  url,
  connections,
  duration: seconds,
  timeout: 30,
  requests: forms.map(form => ({ method: 'POST', headers: { 'content-type': FORM_TYPE }, body: form })),
})
const answer: LoadResult = {
  answered: result['2xx'],
  seconds: result.duration,
  p50Ms: result.latency.p50,
  p99Ms: result.latency.p99,
  other: result.non2xx + result.errors,
}
process.send?.(answer)
process.disconnect()
