import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type RequestListener,
  type Server,
} from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { pino } from 'pino'
import { routePolicy } from '../../contract/policy.ts'
import { parseExposition, type Sample } from '../../lib/exposition.ts'
import type { Log } from '../../lib/log.ts'
import type {
  ComparisonRecord,
  EndpointReport,
  RouteRecord,
  SpendVerdict,
  ToPrimary,
} from '../../gateway/messages.ts'
import { createTotals } from '../../gateway/primary/metrics.ts'
import type { TraceSettings } from '../../gateway/trace-settings.ts'
import { createWorker } from '../../gateway/worker/worker.ts'

/** A server of the test's own that closes itself. */
export async function upstream(t: Test, handler: RequestListener): Promise<{ url: string; server: Server }> {
  const server = createServer(handler)
  server.keepAliveTimeout = 60_000
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server }
}

/** Answers every request with its name, once the body is read. */
export async function namedUpstream(t: Test, name: string): Promise<string> {
  const { url } = await upstream(t, (request, response) => {
    request.resume().on('end', () => response.setHeader('content-type', 'text/plain').end(name))
  })
  return url
}

export const PREDICTION = {
  label: 'Bread',
  class_index: 0,
  confidence: 0.9,
  top_k: [
    { label: 'Bread', confidence: 0.9 },
    { label: 'Egg', confidence: 0.1 },
  ],
  model: 'food11',
  model_version: '1',
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

export interface SendOptions {
  readonly method?: string
  readonly path?: string
  readonly headers?: Record<string, string | string[]>
  readonly body?: string | Buffer
}

interface WorkerOptions {
  readonly wallClock?: () => number
  readonly spend?: () => SpendVerdict
  readonly traces?: TraceSettings
  readonly log?: Log
}

/** A worker in this process, driven as the primary would: messages in, messages out. */
export async function startWorker(t: Test, policies: readonly unknown[], options: WorkerOptions = {}) {
  const { wallClock = Date.now, spend = () => 'counted', traces, log = pino({ level: 'silent' }) } = options
  const totals = createTotals()
  const comparisons: ComparisonRecord[] = []
  const reports: EndpointReport[] = []
  const acknowledged: number[] = []
  const records = new Map<string, RouteRecord>()
  let revision = 0
  const receive = (message: ToPrimary) => {
    if (message.type === 'counts') totals.add(message.counts)
    if (message.type === 'comparison') comparisons.push(message.record)
    if (message.type === 'endpoint-reports') reports.push(...message.reports)
    if (message.type === 'ack') acknowledged.push(message.revision)
    if (message.type === 'feedback')
      void worker.receive({ type: 'feedback-answer', id: message.id, verdict: spend() })
  }
  const record = (policy: unknown): RouteRecord => {
    const parsed = routePolicy.parse(policy)
    const before = records.get(parsed.name)
    const version = (before?.version ?? 0) + 1
    const sameWeights = JSON.stringify(before?.policy.weights) === JSON.stringify(parsed.weights)
    const next = { policy: parsed, version, epoch: before && sameWeights ? before.epoch : version }
    records.set(parsed.name, next)
    return next
  }
  const worker = await createWorker({
    start: {
      type: 'start',
      revision,
      settings: {
        host: '127.0.0.1',
        port: 0,
        workers: 1,
        predictionKey: 'a key for tests, long enough to be one',
        logLevel: 'silent',
        traces,
      },
      routes: policies.map(record),
      endpoints: [],
      readiness: { ready: true, reasons: [] },
    },
    log,
    send: receive,
    wallClock,
  })
  t.teardown(worker.close)
  const { port } = worker.address()
  return {
    worker,
    port,
    comparisons,
    reports,
    acknowledged,
    send: (options: SendOptions = {}) => send(port, options),
    async samples(name: string): Promise<Sample[]> {
      await worker.receive({ type: 'flush', flush: 0 })
      return parseExposition(totals.render([])).filter(sample => sample.name === name)
    },
    /** Sum of a counter over the samples that have these labels. */
    async total(name: string, labels: Record<string, string> = {}): Promise<number> {
      const samples = await this.samples(name)
      return samples
        .filter(sample => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
        .reduce((sum, { value }) => sum + value, 0)
    },
    async set(policy: unknown): Promise<void> {
      await worker.receive({ type: 'policy', revision: ++revision, set: [record(policy)], removed: [] })
    },
  }
}

/** One request on a connection of its own. A connection that breaks answers status 0. */
export function send(
  port: number,
  { method = 'GET', path = '/x', headers = {}, body }: SendOptions = {},
): Promise<Answer> {
  return new Promise(resolve => {
    const broken = (text: string) => resolve({ status: 0, headers: {}, text })
    const request = httpRequest(
      { host: '127.0.0.1', port, method, path, headers, agent: false },
      response => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', error => broken(`cut short: ${error.message}`))
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(chunks).toString(),
          }),
        )
      },
    )
    request.on('error', error => broken(error.message))
    request.end(body)
  })
}

/** Writes bytes as they are and collects what comes back until the connection closes. */
export function sendRaw(port: number, bytes: string | Buffer): Promise<string> {
  return new Promise(resolve => {
    let text = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', () => undefined) // what came before it counts
    socket.on('close', () => resolve(text))
  })
}

/** A route with two variants, as most tests want it. */
export function twoVariants(stable: string, candidate: string, settings: object = {}): object {
  return {
    name: 'food11',
    variants: { stable: { endpoints: [stable] }, candidate: { endpoints: [candidate] } },
    weights: { stable: 0, candidate: 100 },
    fallback: { to: 'stable' },
    idempotent: true,
    contract: 'none',
    timeoutMs: 20_000, // a test that waits for a time-out sets its own: on a busy machine a short one ends what is well
    ...settings,
  }
}

/** Looks again until it holds; for what another process or socket does in its own time. */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  limitMs = 15_000,
): Promise<boolean> {
  const until = performance.now() + limitMs
  while (performance.now() < until) {
    if (await holds()) return true
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  return false
}
