import type { GatewayClient } from '../../client/gateway.ts'
import type { RoutePolicy } from '../../contract/policy.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Evidence } from '../evidence/evidence.ts'
import type { RolloutStore } from '../rollouts/rollout-store.ts'
import type { Store } from '../store.ts'
import type { Alerts } from './alerts.ts'
import type { WatchConfig, WatchLimits } from './config.ts'
import { createStableEvidence } from './stable-evidence.ts'
import { ALERTS, createStableWatch, WATCHED, watchedBy, type Watched } from './stable-watch.ts'

interface RouteWatcherOptions {
  readonly store: Store
  readonly rollouts: Pick<RolloutStore, 'active'>
  readonly gateway: GatewayClient
  readonly evidence: Evidence
  readonly alerts: Alerts
  /** Undefined: nothing is watched. */
  readonly config: WatchConfig | undefined
  readonly clock: Clock
  readonly log: Log
}

interface RouteWatch {
  /** The version that is watched, by its endpoints: another one has to be learnt anew. */
  readonly of: string
  readonly read: ReturnType<typeof createStableEvidence>
  readonly watch: ReturnType<typeof createStableWatch>
}

/** Watches stable on every route, with a rollout or without. Looks while nothing can be read change nothing. */
export function createRouteWatcher(options: RouteWatcherOptions) {
  const { store, rollouts, gateway, evidence, alerts, config, clock, log } = options
  const watches = new Map<string, RouteWatch>()

  function watchOf(policy: RoutePolicy, limits: WatchLimits): RouteWatch {
    const of = JSON.stringify(policy.variants['stable']?.endpoints)
    const known = watches.get(policy.name)
    if (known?.of === of) return known
    const firing = WATCHED.filter(watched => alerts.isFiring(keyOf(policy.name, watched)))
    const read = known?.read ?? createStableEvidence({ evidence, gateway })
    const watch = { of, read, watch: createStableWatch(limits, new Set(firing)) }
    watches.set(policy.name, watch)
    return watch
  }

  async function lookAt(policy: RoutePolicy, limits: WatchLimits): Promise<void> {
    const { name: route } = policy
    const { read, watch } = watchOf(policy, limits)
    const { drift, agreement } = limits
    const { reading, problems } = await read(policy, {
      drift: drift !== undefined,
      pairs: agreement !== undefined,
    })
    if (problems.length > 0) log.warn({ route, reason: problems.join('; ') }, 'stable cannot be watched')
    // what a rollout mirrors and compares is the rollout's to judge
    const judged = rollouts.active().some(rollout => rollout.route === route)
    const turns = watch.step(judged ? { ...reading, pairs: null } : reading)
    if (turns.length === 0) return
    store.transaction(() => {
      for (const { watched, turn, summary } of turns) {
        const key = keyOf(route, watched)
        if (turn === 'resolve') alerts.resolve(key, summary)
        else alerts.raise(key, { ...ALERTS[watched], labels: { route }, summary })
      }
    })
  }

  /** An alert on what is watched no longer, because the route or its limit is gone, would stand for ever. */
  function resolveUnwatched(policies: readonly RoutePolicy[]): void {
    const watched = new Set(policies.flatMap(({ name }) => [...watchedKeys(name, limitsOf(config, name))]))
    const orphans = alerts.firing().filter(({ key }) => key.startsWith(PREFIX) && !watched.has(key))
    if (orphans.length === 0) return
    store.transaction(() => {
      for (const { key } of orphans) alerts.resolve(key, 'it is not watched any more')
    })
  }

  async function look(): Promise<void> {
    const policies = (await gateway.routes()).map(({ policy }) => policy)
    const watched = policies.filter(({ variants }) => variants['stable'] !== undefined)
    resolveUnwatched(watched)
    for (const name of watches.keys()) if (!watched.some(policy => policy.name === name)) watches.delete(name)
    await Promise.all(
      watched.map(async policy => {
        const limits = limitsOf(config, policy.name)
        if (limits && watchedBy(limits).size > 0) await lookAt(policy, limits)
      }),
    )
  }

  return {
    /** One look at every route, for tests that decide when. */
    look,
    async run(signal: AbortSignal): Promise<void> {
      if (config === undefined) return resolveUnwatched([])
      while (!signal.aborted) {
        try {
          await look()
        } catch (error) {
          log.warn({ reason: describeProblem(error) }, 'stable cannot be watched')
        }
        await clock.sleep(config.interval, signal)
      }
    },
  }
}

const PREFIX = 'stable/'

function keyOf(route: string, watched: Watched): string {
  return `${PREFIX}${route}/${watched}`
}

function limitsOf(config: WatchConfig | undefined, route: string): WatchLimits | undefined {
  return config && (config.routes[route] ?? config)
}

function watchedKeys(route: string, limits: WatchLimits | undefined): readonly string[] {
  return limits ? [...watchedBy(limits)].map(watched => keyOf(route, watched)) : []
}
