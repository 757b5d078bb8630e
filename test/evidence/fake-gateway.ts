import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** A server on a port of its own that closes itself when the test ends. Returns its address. */
export async function listen(t: Test, handler: RequestListener): Promise<string> {
  const server: Server = createServer(handler)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

export interface Counted {
  readonly variant: string
  readonly success: number
  readonly failure?: number
}

/** A gateway's exposition of one route, with two buckets below +Inf. */
export function exposition(counted: readonly Counted[], route = 'food11'): string {
  return counted
    .flatMap(({ variant, success, failure = 0 }) => {
      const labels = `route="${route}",variant="${variant}"`
      const total = success + failure
      const requests = (outcome: string, reason: string, count: number) =>
        `weir_requests_total{${labels},kind="split",outcome="${outcome}",reason="${reason}"} ${count}`
      const bucket = (le: string, count: number) =>
        `weir_request_duration_seconds_bucket{${labels},le="${le}"} ${count}`
      return [
        requests('success', '', success),
        ...(failure > 0 ? [requests('failure', '5xx', failure)] : []),
        bucket('0.05', Math.floor(total / 2)),
        bucket('0.1', total),
        bucket('+Inf', total),
      ]
    })
    .map(line => `${line}\n`)
    .join('')
}
