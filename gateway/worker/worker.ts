import type { FastifyInstance } from 'fastify'
import { describeProblem } from '../../lib/problem.ts'
import type { Log } from '../../lib/log.ts'
import type {
  FeedbackReport,
  Readiness,
  SpendVerdict,
  ToPrimary,
  ToWorker,
  WorkerSettings,
} from '../messages.ts'
import { createPredictionIds } from '../prediction-id.ts'
import { createAccessLog } from './access-log.ts'
import { createBreachLog } from './breach-log.ts'
import { createCounters, type Counters } from './counters.ts'
import { createForwarder } from './forward.ts'
import { createListener } from './listener.ts'
import { createPolicy } from './policy.ts'
import { createTimeLimits } from './time-limits.ts'
import type { Tracing } from './tracing.ts'

type Start = Extract<ToWorker, { type: 'start' }>

export interface WorkerOptions {
  readonly start: Start
  readonly log: Log
  readonly send: (message: ToPrimary) => void
  readonly wallClock?: () => number
}

/** A forwarding process: it only forwards. What must be known of all workers together is the primary's. */
export interface Worker {
  receive(message: Exclude<ToWorker, Start>): Promise<void>
  /** Where the main listener listens. */
  address(): { readonly port: number }
  close(): Promise<void>
}

const PUSH_EVERY_MS = 1000
/** Reports of failing endpoints go out together: at full load one message a failure would drown the primary. */
const REPORT_EVERY_MS = 10
const MAX_KEPT_BYTES = 512 * 1024 ** 2
const SPEND_LIMIT_MS = 2000

/** Starts forwarding by the policy it is given; rejects when a port cannot be had. */
export async function createWorker({
  start,
  log,
  send,
  wallClock = Date.now,
}: WorkerOptions): Promise<Worker> {
  const { settings } = start
  const counters = createCounters()
  const ids = createPredictionIds(settings.predictionKey)
  const spending = createSpending(send)
  const timeLimits = createTimeLimits()
  let readiness: Readiness = start.readiness
  let draining = false
  let reportTimer: NodeJS.Timeout | undefined

  const policy = createPolicy({
    counters,
    workers: settings.workers,
    mirror: {
      onComparison: record => send({ type: 'comparison', record }),
      wallClock,
      now: () => performance.now(),
      timeLimits,
    },
    onEndpointReport: () => {
      reportTimer ??= setTimeout(reportEndpoints, REPORT_EVERY_MS)
    },
    now: () => performance.now(),
  })
  policy.setEndpointStates(start.endpoints)
  policy.apply(start.routes, [])
  const tracing = await openTracing(settings, log, counters)

  const forwarder = createForwarder({
    policy,
    ids,
    memory: { limitBytes: MAX_KEPT_BYTES / settings.workers, usedBytes: 0 },
    accessLog: createAccessLog(log),
    breachLog: createBreachLog(log, () => performance.now()),
    isDraining: () => draining,
    tracing,
    timeLimits,
    wallClock,
  })
  const listeners = new Map<number, FastifyInstance>()
  const feedback = { policy, ids, wallClock, spend: spending.spend }
  const pushTimer = setInterval(push, PUSH_EVERY_MS)

  function reportEndpoints(): void {
    reportTimer = undefined
    const reports = policy.takeEndpointReports()
    if (reports.length > 0) send({ type: 'endpoint-reports', reports })
  }

  function push(flush?: number): void {
    const counts = counters.take()
    if (flush === undefined && counts.counters.length === 0 && counts.histograms.length === 0) return
    send({ type: 'counts', counts, flush })
  }

  async function listen(port: number, actualPort: number): Promise<void> {
    const { workers } = settings
    const app = createListener({ log, forwarder, feedback, readiness: () => readiness, port, workers })
    listeners.set(port, app)
    await app.listen({ host: settings.host, port: actualPort })
  }

  /** Listeners of their own follow the routes that name them. A taken port is told and leaves the others alone. */
  async function followPorts(): Promise<void> {
    const wanted = new Set(policy.ports().filter(port => port !== settings.port))
    for (const port of wanted) {
      if (listeners.has(port)) continue
      await listen(port, port).catch((error: unknown) => {
        listeners.delete(port)
        log.error({ port, reason: describeProblem(error) }, 'a route asks for a port that cannot be had')
      })
    }
    for (const [port, app] of listeners) {
      if (port === 0 || wanted.has(port)) continue
      listeners.delete(port)
      void app.close()
    }
  }

  async function close(): Promise<void> {
    draining = true
    await Promise.all([...listeners.values()].map(app => app.close()))
    clearInterval(pushTimer)
    clearTimeout(reportTimer)
    reportEndpoints()
    await tracing?.close()
    push()
  }

  await listen(0, settings.port)
  await followPorts()

  return {
    async receive(message) {
      switch (message.type) {
        case 'policy':
          policy.apply(message.set, message.removed)
          send({ type: 'ack', revision: message.revision })
          return followPorts()
        case 'endpoints':
          return policy.setEndpointStates(message.states)
        case 'readiness':
          readiness = message.readiness
          return
        case 'flush':
          reportEndpoints()
          return push(message.flush)
        case 'feedback-answer':
          return spending.answered(message.id, message.verdict)
        case 'drain':
          return close()
      }
    },
    address() {
      const address = listeners.get(0)?.server.address()
      return { port: typeof address === 'object' && address !== null ? address.port : 0 }
    },
    close,
  }
}

/** OpenTelemetry is loaded only for those who ask for it. */
async function openTracing(
  { traces }: WorkerSettings,
  log: Log,
  counters: Counters,
): Promise<Tracing | undefined> {
  if (traces === undefined) return undefined
  const { createTracing } = await import('./tracing.ts')
  return createTracing({ settings: traces, log, counters })
}

/** Asks the primary whether a prediction id may still be spent. */
function createSpending(send: (message: ToPrimary) => void) {
  const waiting = new Map<number, (verdict: SpendVerdict) => void>()
  let nextId = 0
  return {
    spend(report: FeedbackReport): Promise<SpendVerdict> {
      const id = nextId++
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(id)
          reject(new Error('the primary did not answer about a prediction id'))
        }, SPEND_LIMIT_MS)
        waiting.set(id, verdict => {
          clearTimeout(timer)
          resolve(verdict)
        })
        send({ type: 'feedback', id, report })
      })
    },
    answered(id: number, verdict: SpendVerdict): void {
      waiting.get(id)?.(verdict)
      waiting.delete(id)
    },
  }
}
