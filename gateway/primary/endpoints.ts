import type { RoutePolicy } from '../../contract/policy.ts'
import type { Clock } from '../../lib/clock.ts'
import { endpointKey, type EndpointKey, type EndpointReport, type EndpointState } from '../messages.ts'
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
  /** Takes over the endpoints that a route names now; undefined: there is no such route any more. */
  follow(route: string, policy: RoutePolicy | undefined): void
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
  readonly key: EndpointKey
  readonly variant: string
  readonly endpoint: string
  readonly policy: RoutePolicy
  health: EndpointHealth
  nextProbeAt: number
}

/** Until an endpoint has been healthy once, whoever waits for it waits for the next probe. */
const FIRST_PROBE_EVERY_MS = 200
const MAX_PROBES_AT_ONCE = 64

export function createEndpoints({ clock, onChange, probe = probeOnce }: EndpointsOptions): Endpoints {
  const watched = new Map<EndpointKey, Watched>()
  const keysOfRoutes = new Map<string, EndpointKey[]>()
  /** Whoever is probed alike is probed once, however many routes name it. */
  const probedAlike = new Map<string, Set<Watched>>()
  const stopping = new AbortController()
  const probing = new Set<string>()

  function update(
    entry: Watched,
    next: (health: EndpointHealth) => EndpointHealth,
  ): readonly [EndpointKey, EndpointState][] {
    const before = stateOf(entry.health)
    const wasHealthy = entry.health.everHealthy
    entry.health = next(entry.health)
    const after = stateOf(entry.health)
    return after === before && wasHealthy === entry.health.everHealthy ? [] : [[entry.key, after]]
  }

  function publish(changes: readonly (readonly [EndpointKey, EndpointState])[]): void {
    if (changes.length > 0) onChange(changes)
  }

  function watch(entry: Watched): void {
    watched.set(entry.key, entry)
    const probed = probeKey(entry)
    const alike = probedAlike.get(probed) ?? new Set()
    probedAlike.set(probed, alike.add(entry))
  }

  function unwatch(key: EndpointKey): Watched | undefined {
    const entry = watched.get(key)
    if (entry === undefined) return undefined
    watched.delete(key)
    const alike = probedAlike.get(probeKey(entry))
    alike?.delete(entry)
    if (alike?.size === 0) probedAlike.delete(probeKey(entry))
    return entry
  }

  async function runProbe(key: string, first: Watched): Promise<void> {
    const { path, timeoutMs } = first.policy.probe
    probing.add(key)
    const healthy = await probe(`${first.endpoint}${path}`, timeoutMs, stopping.signal)
    probing.delete(key)
    if (stopping.signal.aborted) return
    const now = clock.now()
    const alike = [...(probedAlike.get(key) ?? [])].filter(({ policy }) => policy.probe.enabled)
    publish(alike.flatMap(entry => afterProbing(entry, healthy, now)))
  }

  function afterProbing(entry: Watched, healthy: boolean, now: number) {
    const { intervalMs, unhealthyAfter } = entry.policy.probe
    const changes = update(entry, health => afterProbe(health, healthy, unhealthyAfter))
    const waitMs = entry.health.everHealthy ? intervalMs : Math.min(FIRST_PROBE_EVERY_MS, intervalMs)
    entry.nextProbeAt = now + waitMs
    return changes
  }

  function entriesOf(route: string): Watched[] {
    return (keysOfRoutes.get(route) ?? []).flatMap(key => watched.get(key) ?? [])
  }

  return {
    follow(route, policy) {
      const before = keysOfRoutes.get(route) ?? []
      const known = new Map(before.map(key => [key, unwatch(key)]))
      keysOfRoutes.delete(route)
      if (policy === undefined) return
      const named = new Map(endpointsOf(policy).map(named => [named.key, named]))
      keysOfRoutes.set(route, [...named.keys()])
      for (const { key, variant, endpoint } of named.values()) {
        const { health, nextProbeAt } = known.get(key) ?? { health: firstHealth(policy), nextProbeAt: 0 }
        watch({ route, key, variant, endpoint, policy, health, nextProbeAt })
      }
    },
    report(reports) {
      const now = clock.now()
      publish(
        reports.flatMap(report => {
          const entry = watched.get(report.key)
          if (entry === undefined) return []
          return update(entry, health => afterReport(health, report, entry.policy.ejection, now))
        }),
      )
    },
    list(route) {
      const entries = route === undefined ? [...watched.values()] : entriesOf(route)
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
      const ejected = [...watched.values()].filter(({ health }) => health.ejectedUntil !== undefined)
      publish(ejected.flatMap(entry => update(entry, health => afterTime(health, now))))
      for (const [key, alike] of probedAlike) {
        if (probing.size >= MAX_PROBES_AT_ONCE) return
        if (probing.has(key)) continue
        const due = firstDue(alike, now)
        if (due === undefined) continue
        probedAlike.delete(key) // to the end: where there are more than can be probed in time, all come in turn
        probedAlike.set(key, alike)
        void runProbe(key, due)
      }
    },
    stop: () => stopping.abort(),
  }
}

/** What a probe would do; the answer to one is the answer to all that do the same. */
function probeKey({ endpoint, policy: { probe } }: Watched): string {
  return `${probe.intervalMs} ${probe.timeoutMs} ${endpoint}${probe.path}`
}

function firstDue(alike: Iterable<Watched>, now: number): Watched | undefined {
  for (const entry of alike) if (entry.policy.probe.enabled && entry.nextProbeAt <= now) return entry
  return undefined
}

function firstHealth({ probe }: RoutePolicy): EndpointHealth {
  return probe.enabled ? UNKNOWN_HEALTH : { ...UNKNOWN_HEALTH, everHealthy: true } // nobody would ever find out
}

function endpointsOf(policy: RoutePolicy): { key: EndpointKey; variant: string; endpoint: string }[] {
  return Object.entries(policy.variants).flatMap(([variant, { endpoints }]) =>
    endpoints.map(endpoint => ({ key: endpointKey(policy.name, variant, endpoint), variant, endpoint })),
  )
}
