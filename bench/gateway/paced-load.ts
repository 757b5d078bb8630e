import { Pool, type Dispatcher } from 'undici'

// A fixed number of requests a second, evenly spaced, whatever the answers do: node bench/gateway/paced-load.ts SETTINGS
//
// Neither wrk nor autocannon can do this: wrk has no rate, and autocannon sends a whole second's requests at once and then
// rests. A timer of Node's is too coarse (1 ms is several requests), and spinning would take the core from the upstream, so
// the loop sleeps in steps of a tenth of a millisecond. That delays what it sees by up to as much, for all proxies alike.

interface Settings {
  readonly url: string
  readonly bytes: number
  readonly connections: number
  readonly seconds: number
  readonly perSecond: number
}

const { url, bytes, connections, seconds, perSecond } = JSON.parse(process.argv[2] ?? '{}') as Settings
const { origin, pathname } = new URL(url)
const pool = new Pool(origin, { connections, pipelining: 1 })
const body = Buffer.alloc(bytes, 'x')
const latencies: number[] = []
let sent = 0
let errors = 0

/** One request; its latency counts from here, waiting for a connection included. */
function send(): void {
  const at = performance.now()
  const headers = { 'content-type': 'application/octet-stream', 'x-user-id': `user-${sent++ % 64}` }
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart: () => undefined,
    onResponseStart: (_, status) => void (errors += status === 200 ? 0 : 1),
    onResponseData: () => undefined,
    onResponseEnd: () => void latencies.push(performance.now() - at),
    onResponseError: () => void errors++,
  }
  pool.dispatch({ method: 'POST', path: pathname, headers, body }, handler)
}

/** The first half second warms up connections and code and is not counted. */
const WARM_UP_MS = 500
const STEP_MS = 0.1
const sleeper = new Int32Array(new SharedArrayBuffer(4))
let begun = performance.now()
let warm = false

function step(): void {
  const elapsedMs = performance.now() - begun
  if (!warm && elapsedMs > WARM_UP_MS) return startCounting()
  if (warm && elapsedMs > seconds * 1000) return report(elapsedMs)
  const due = (elapsedMs * perSecond) / 1000
  while (sent < due) send()
  Atomics.wait(sleeper, 0, 0, STEP_MS)
  setImmediate(step)
}

function startCounting(): void {
  warm = true
  begun = performance.now()
  sent = 0
  latencies.length = 0
  setImmediate(step)
}

function report(elapsedMs: number): void {
  const sorted = Float64Array.from(latencies).sort()
  const quantile = (q: number) => sorted[Math.floor(q * sorted.length)] ?? Number.NaN
  process.stdout.write(
    JSON.stringify({
      perSecond: (latencies.length * 1000) / elapsedMs,
      p50Ms: quantile(0.5),
      p99Ms: quantile(0.99),
      errors,
    }),
    () => process.exit(0), // requests that are still out do not matter
  )
}

step()
