import { join } from 'node:path'
import { WeirError } from '../../contract/errors.ts'
import type { RoutePolicy } from '../../contract/policy.ts'
import { systemClock, type Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { tryPort } from '../../lib/ports.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { ReadConfig } from '../config.ts'
import type { Readiness, ToPrimary } from '../messages.ts'
import type { TraceSettings } from '../trace-settings.ts'
import { createComparisons } from './comparisons.ts'
import { createEndpoints, type EndpointView } from './endpoints.ts'
import { createFeedbackLedger } from './feedback.ts'
import { createFlushes } from './flushes.ts'
import { createTotals } from './metrics.ts'
import { createOperatorApi } from './operator-api.ts'
import { openPolicyStore, type Change, type PolicyStore, type StoredRoute } from './policy-store.ts'
import { decideReadiness } from './readiness.ts'
import { createRevisions } from './revisions.ts'
import { gaugesOf } from './scrape.ts'
import { seedStore } from './seed.ts'
import { readStateKeys } from './state-keys.ts'
import { watchStore } from './store-watch.ts'
import { createWorkerPool } from './worker-pool.ts'

export interface PrimaryOptions {
  readonly config: ReadConfig
  readonly stateDir: string
  readonly host: string
  readonly port: number
  readonly operatorHost: string
  readonly operatorPort: number
  readonly workers: number
  /** How long requests in flight may take to finish when the gateway stops. */
  readonly drainLimitMs: number
  readonly log: Log
  readonly logLevel: string
  readonly traces: TraceSettings | undefined
  readonly clock?: Clock
}

export interface Primary {
  /** Readiness false, no new connections, requests in flight finish. */
  stop(): Promise<void>
}

const TICK_EVERY_MS = 100
const SWEEP_EVERY_MS = 60_000

/** The process that owns what is true for all workers: policies, health of endpoints, counts, spent ids, the operator API. */
export async function startPrimary(options: PrimaryOptions): Promise<Primary> {
  const { config, stateDir, log, clock = systemClock } = options
  const dir = join(stateDir, 'policies')
  const store: PolicyStore = await openPolicyStore({
    dir,
    admit: policy => requirePort(policy, options, store.list()),
  })
  await seedStore(store, config, log)
  const keys = await readStateKeys(stateDir)
  const totals = createTotals()
  const ledger = createFeedbackLedger({ totals, now: clock.now })
  const comparisons = createComparisons()
  const revisions = createRevisions(store.list())
  let readiness: Readiness = { ready: false, reasons: ['starting'] }
  let onceReady = false
  let draining = false
  /** Readiness is looked at once a tick, not once an endpoint: there may be thousands. */
  let healthChanged = false

  const endpoints = createEndpoints({
    clock,
    onChange(states) {
      pool.broadcast({ type: 'endpoints', states })
      for (const [key, state] of states) log.info({ endpoint: key, state }, 'health of an endpoint')
      healthChanged = true
    },
  })
  for (const { policy } of store.list()) endpoints.follow(policy.name, policy)

  const pool = createWorkerPool({
    count: options.workers,
    log,
    startMessage: () => ({
      type: 'start',
      revision: revisions.current(),
      settings: {
        host: options.host,
        port: options.port,
        workers: options.workers,
        predictionKey: config.config.predictionKey ?? keys.predictionKey,
        logLevel: options.logLevel,
        traces: options.traces,
      },
      routes: store.list(),
      endpoints: endpoints.states(),
      readiness,
    }),
    onMessage: receive,
    onChange: updateReadiness,
  })
  const flushes = createFlushes(pool)

  function receive(message: ToPrimary, worker: string): void {
    switch (message.type) {
      case 'counts':
        totals.add(message.counts)
        if (message.flush !== undefined) flushes.arrived(message.flush, worker)
        return
      case 'endpoint-reports':
        return endpoints.report(message.reports)
      case 'feedback':
        return pool.answer(worker, {
          type: 'feedback-answer',
          id: message.id,
          verdict: ledger.spend(message.report),
        })
      case 'comparison':
        return comparisons.add(message.record)
      case 'ready':
      case 'failed':
      case 'ack':
    }
  }

  /** What a route with a listener of its own leads to, such as a version under test, takes nobody else's traffic away. */
  function publicEndpoints(): EndpointView[] {
    const all = endpoints.list()
    const shared = all.filter(({ route }) => store.get(route)?.policy.match.port === undefined)
    return shared.length > 0 ? shared : all
  }

  function updateReadiness(): void {
    healthChanged = false
    const workersReady = pool.list().filter(({ ready }) => ready).length
    const before = readiness
    readiness = decideReadiness({ draining, workersReady, endpoints: publicEndpoints(), onceReady })
    onceReady ||= readiness.ready
    if (JSON.stringify(before) === JSON.stringify(readiness)) return
    log.info(readiness, 'readiness')
    pool.broadcast({ type: 'readiness', readiness })
  }

  /** Puts a committed change in force; resolves with the workers that lag. */
  async function publish({ name, route }: Change): Promise<string[]> {
    const revision = revisions.next(name, route?.version)
    if (route === undefined) forgetRoute(name)
    endpoints.follow(name, route?.policy)
    const pending = await pool.publish({
      type: 'policy',
      revision,
      set: route ? [route] : [],
      removed: route ? [] : [name],
    })
    updateReadiness()
    return pending
  }

  function forgetRoute(name: string): void {
    comparisons.forget(name)
    totals.forget(series => series.includes(`route="${name}"`))
  }

  const operator = await createOperatorApi({
    log,
    store,
    publish,
    comparisons,
    endpoints,
    instance: keys.instance,
    readiness: () => readiness,
    workers: pool.list,
    workerVersion: (worker, route) => revisions.versionAt(route, worker.revision),
    assigned: (route, variant) =>
      totals.valueOf(`weir_assigned_total{route="${route}",variant="${variant}"}`),
    flush: flushes.all,
    exposition: route =>
      totals.render(
        gaugesOf({
          routes: store.list().filter(({ policy }) => route === undefined || policy.name === route),
          endpoints: endpoints.list(route),
          workers: pool.list(),
          workerVersion: (worker, name) => revisions.versionAt(name, worker.revision),
          restarts: pool.restarts(),
          storeHealthy: store.faults().size === 0,
        }),
        route,
      ),
  })

  await pool.start()
  await operator.listen({ host: options.operatorHost, port: options.operatorPort })
  const unwatch = watchStore({
    dir,
    store,
    log,
    onChange: change => void publish(change),
    onFault: updateReadiness,
  })
  const tick = setInterval(() => {
    endpoints.tick()
    if (healthChanged) updateReadiness()
  }, TICK_EVERY_MS)
  const sweep = setInterval(ledger.sweep, SWEEP_EVERY_MS)
  endpoints.tick()
  updateReadiness()

  return {
    async stop() {
      draining = true
      updateReadiness()
      clearInterval(tick)
      clearInterval(sweep)
      unwatch()
      endpoints.stop()
      await pool.drain(options.drainLimitMs)
      await operator.close()
    },
  }
}

/** A listener that a route asks for must be possible; one that is there already is shared. */
async function requirePort(
  { match: { port } }: RoutePolicy,
  { host, port: mainPort, operatorPort }: PrimaryOptions,
  routes: readonly StoredRoute[],
): Promise<void> {
  if (port === undefined || port === mainPort) return
  if (routes.some(({ policy }) => policy.match.port === port)) return
  const problem = port === operatorPort ? 'it is the operator port' : await tryPort(host, port)
  if (problem !== undefined)
    throw new WeirError('conflict', `match.port: ${port} cannot be had: ${describeProblem(problem)}`)
}
