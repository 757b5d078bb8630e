import type { RoutePolicy } from '../../contract/policy.ts'
import type { Clock } from '../../lib/clock.ts'
import {
  endpointKey,
  type EndpointKey,
  type EndpointReport,
  type EndpointState,
  type RouteRecord,
} from '../messages.ts'
import {
  afterProbe,
  afterReport,
  afterTime,
  reasonOf,
  stateOf,
  UNKNOWN_HEALTH,
  type EndpointHealth,
} from './ejection.ts'
import { probeOnce } from './probes.ts'

export interface EndpointView {
  readonly route: string
  readonly variant: string
  readonly endpoint: string
  readonly state: EndpointState
  readonly everHealthy: boolean
  /** Trials after an ejection that failed, in a row. */
  readonly failedTrials: number
  readonly reason: string | undefined
}

/** The health of every endpoint of every variant, from the workers' reports, probes and the clock. */
export interface Endpoints {
  /** Takes over the endpoints that the routes name now. */
  follow(routes: readonly RouteRecord[]): void
  report(reports: readonly EndpointReport[]): void
  list(route?: string): EndpointView[]
  states(): (readonly [EndpointKey, EndpointState])[]
  /** Probes what is due and lets ejections run out; called often. */
  tick(): void
  stop(): void
}

export interface EndpointsOptions {
  readonly clock: Clock
  /** Some states changed. */
  readonly onChange: (states: readonly (readonly [EndpointKey, EndpointState])[]) => void
  readonly probe?: typeof probeOnce
}

interface Watched {
  readonly route: string
  readonly variant: string
  readonly endpoint: string
  policy: RoutePolicy
  health: EndpointHealth
  nextProbeAt: number
  probing: boolean
}

/** Until an endpoint has been healthy once, whoever waits for it waits for the next probe. */
const FIRST_PROBE_EVERY_MS = 200
const MAX_PROBES_AT_ONCE = 64

export function createEndpoints({ clock, onChange, probe = probeOnce }: EndpointsOptions): Endpoints {
  const watched = new Map<EndpointKey, Watched>()
  const stopping = new AbortController()
  let probesRunning = 0

  function update(
    key: EndpointKey,
    next: (health: EndpointHealth) => EndpointHealth,
  ): readonly [EndpointKey, EndpointState][] {
    const entry = watched.get(key)
    if (!entry) return []
    const before = stateOf(entry.health)
    const wasHealthy = entry.health.everHealthy
    entry.health = next(entry.health)
    const after = stateOf(entry.health)
    return after === before && wasHealthy === entry.health.everHealthy ? [] : [[key, after]]
  }

  function publish(changes: readonly (readonly [EndpointKey, EndpointState])[]): void {
    if (changes.length > 0) onChange(changes)
  }

  async function runProbe(key: EndpointKey, entry: Watched): Promise<void> {
    const { path, timeoutMs, intervalMs, unhealthyAfter } = entry.policy.probe
    entry.probing = true
    probesRunning++
    const healthy = await probe(`${entry.endpoint}${path}`, timeoutMs, stopping.signal)
    entry.probing = false
    probesRunning--
    if (stopping.signal.aborted || watched.get(key) !== entry) return
    publish(update(key, health => afterProbe(health, healthy, unhealthyAfter)))
    entry.nextProbeAt =
      clock.now() + (entry.health.everHealthy ? intervalMs : Math.min(FIRST_PROBE_EVERY_MS, intervalMs))
  }

  return {
    follow(routes) {
      const named = new Set<EndpointKey>()
      for (const { policy } of routes) {
        for (const { key, variant, endpoint } of endpointsOf(policy)) {
          named.add(key)
          const known = watched.get(key)
          if (known) known.policy = policy
          else
            watched.set(key, {
              route: policy.name,
              variant,
              endpoint,
              policy,
              health: firstHealth(policy),
              nextProbeAt: 0,
              probing: false,
            })
        }
      }
      for (const key of watched.keys()) if (!named.has(key)) watched.delete(key)
    },
    report(reports) {
      const now = clock.now()
      publish(
        reports.flatMap(report => {
          const ejection = watched.get(report.key)?.policy.ejection
          return ejection ? update(report.key, health => afterReport(health, report, ejection, now)) : []
        }),
      )
    },
    list(route) {
      const entries = [...watched.values()].filter(entry => route === undefined || entry.route === route)
      return entries.map(({ route, variant, endpoint, health }) => ({
        route,
        variant,
        endpoint,
        state: stateOf(health),
        everHealthy: health.everHealthy,
        failedTrials: Math.max(0, health.ejections - 1),
        reason: reasonOf(health),
      }))
    },
    states: () => [...watched].map(([key, { health }]) => [key, stateOf(health)] as const),
    tick() {
      const now = clock.now()
      publish([...watched.keys()].flatMap(key => update(key, health => afterTime(health, now))))
      for (const [key, entry] of watched) {
        if (probesRunning >= MAX_PROBES_AT_ONCE) return
        if (entry.policy.probe.enabled && !entry.probing && entry.nextProbeAt <= now)
          void runProbe(key, entry)
      }
    },
    stop: () => stopping.abort(),
  }
}

function firstHealth({ probe }: RoutePolicy): EndpointHealth {
  return probe.enabled ? UNKNOWN_HEALTH : { ...UNKNOWN_HEALTH, everHealthy: true } // nobody would ever find out
}

function endpointsOf(policy: RoutePolicy): { key: EndpointKey; variant: string; endpoint: string }[] {
  return Object.entries(policy.variants).flatMap(([variant, { endpoints }]) =>
    endpoints.map(endpoint => ({ key: endpointKey(policy.name, variant, endpoint), variant, endpoint })),
  )
}
