import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import type { LoadResult, PacedLoad } from './load.ts'
import { quantile } from './figures.ts'
import { FORM_TYPE } from './photos.ts'

// Forms at even distances in time, whatever the answers take: a slow server gets no rest. autocannon's and wrk's connections send
// a second's requests one after another and then wait, so that what they measure is a queue of as many as there are connections.
// A latency counts from the moment at which its request was due.

const [load] = (await once(process, 'message')) as [PacedLoad]
process.send?.(await pace(load))
process.disconnect()

async function pace({ url, forms, connections, seconds, perSecond }: PacedLoad): Promise<LoadResult> {
  const { origin, pathname: path } = new URL(url)
  const pool = new Pool(origin, { connections, pipelining: 1, headersTimeout: 30_000, bodyTimeout: 30_000 })
  const times: number[] = []
  let other = 0

  async function ask(n: number, dueAt: number): Promise<void> {
    const request = {
      path,
      method: 'POST',
      headers: { 'content-type': FORM_TYPE },
      body: forms[n % forms.length] ?? null,
    } as const
    const answer = await pool.request(request).catch(() => undefined)
    await answer?.body.dump().catch(() => undefined)
    if (answer?.statusCode !== 200) other += 1
    else times.push(performance.now() - dueAt)
  }

  const begun = performance.now()
  const asked: Promise<void>[] = []
  for (let n = 0; n < seconds * perSecond; n++) {
    const dueAt = begun + (1000 * n) / perSecond
    await sleep(Math.max(0, dueAt - performance.now()))
    asked.push(ask(n, dueAt))
  }
  await Promise.all(asked)
  await pool.close()
  const took = (performance.now() - begun) / 1000
  return {
    answered: times.length,
    seconds: took,
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    other,
  }
}
