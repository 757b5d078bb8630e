import type { BlockList } from 'node:net'
import { deadlineMs, weightsBp, type RoutePolicy } from '../../contract/policy.ts'
import {
  endpointKey,
  type EndpointKey,
  type EndpointReport,
  type EndpointState,
  type RouteRecord,
} from '../messages.ts'
import { createDealer, sharesOf, type Dealer } from './choose.ts'
import { createAddressList } from './client-address.ts'
import type { Counters } from './counters.ts'
import { createLimiter, createRetryBudget, shareOf, type Limiter, type RetryBudget } from './limits.ts'
import { createMirror, type Mirror } from './mirror.ts'
import { createResponseCounts, createVariantCounts, type VariantCounts } from './route-counts.ts'
import { createRouteTable, type RouteTable } from './route-table.ts'
import { createTarget, type Target } from './target.ts'

export interface Variant {
  readonly name: string
  readonly targets: readonly Target[]
  readonly limiter: Limiter
  readonly counts: VariantCounts
}

/** A route as one policy version has it. Never changed: a request that holds it goes by it to its end. */
export interface Route {
  readonly name: string
  readonly policy: RoutePolicy
  readonly version: number
  readonly epoch: number
  readonly dealer: Dealer
  readonly variants: ReadonlyMap<string, Variant>
  readonly deadlineMs: number
  readonly trustedProxies: BlockList | undefined
  readonly retryBudget: RetryBudget
  readonly mirror: Mirror | undefined
  readonly countResponse: (code: number) => void
}

export interface Snapshot {
  readonly routes: ReadonlyMap<string, Route>
  readonly table: RouteTable
}

/** What this worker applies; a request takes `current()` once. */
export interface Policy {
  current(): Snapshot
  apply(set: readonly RouteRecord[], removed: readonly string[]): void
  setEndpointStates(states: readonly (readonly [EndpointKey, EndpointState])[]): void
  takeEndpointReports(): EndpointReport[]
  /** Ports of their own that routes name. */
  ports(): number[]
}

export interface PolicyOptions {
  readonly counters: Counters
  readonly workers: number
  readonly mirror: Parameters<typeof createMirror>[1]
  /** An endpoint has something to report. */
  readonly onEndpointReport: () => void
  readonly now: () => number
}

export function createPolicy(options: PolicyOptions): Policy {
  const { counters, workers, now, onEndpointReport } = options
  const targets = new Map<EndpointKey, Target>()
  const reporting = new Set<Target>()
  const states = new Map<EndpointKey, EndpointState>()
  let snapshot: Snapshot = { routes: new Map(), table: createRouteTable([]) }

  function targetOf(key: EndpointKey, endpoint: string, connectTimeoutMs: number): Target {
    const known = targets.get(key)
    if (known) {
      known.revive()
      return known
    }
    const onReport = () => {
      reporting.add(target)
      onEndpointReport()
    }
    const target = createTarget({ key, endpoint, connectTimeoutMs, onReport })
    target.state = states.get(key) ?? 'up'
    targets.set(key, target)
    return target
  }

  function variantOf({ policy }: RouteRecord, name: string, before: Route | undefined): Variant {
    const { endpoints, maxInFlight, maxQueued } = policy.variants[name] ?? {
      endpoints: [],
      maxInFlight: 1,
      maxQueued: 0,
    }
    const old = before?.variants.get(name)
    const was = before?.policy.variants[name]
    const sameLimits = was?.maxInFlight === maxInFlight && was.maxQueued === maxQueued
    const limiter = old && sameLimits ? old.limiter : undefined
    return {
      name,
      targets: endpoints.map(endpoint =>
        targetOf(endpointKey(policy.name, name, endpoint), endpoint, policy.connectTimeoutMs),
      ),
      limiter: limiter ?? createLimiter(shareOf(maxInFlight, workers), Math.ceil(maxQueued / workers)),
      counts: old?.counts ?? createVariantCounts(counters, policy.name, name),
    }
  }

  function mirrorOf({ policy }: RouteRecord): Mirror | undefined {
    if (policy.mirror === undefined) return undefined
    const targetsOf = (variant: string) =>
      (policy.variants[variant]?.endpoints ?? []).map(endpoint =>
        targetOf(`${endpointKey(policy.name, variant, endpoint)} mirror`, endpoint, policy.connectTimeoutMs),
      )
    return createMirror({ route: policy.name, settings: policy.mirror, workers, targetsOf }, options.mirror)
  }

  function routeOf(record: RouteRecord, before: Route | undefined): Route {
    const { policy, version, epoch } = record
    const shares = sharesOf(weightsBp(policy))
    const next = before?.epoch === epoch ? before.dealer.next : undefined
    const { budgetPercent, minPerSecond } = policy.retry
    const sameMirror =
      before &&
      JSON.stringify([before.policy.mirror, before.policy.variants]) ===
        JSON.stringify([policy.mirror, policy.variants])
    return {
      name: policy.name,
      policy,
      version,
      epoch,
      dealer: createDealer(policy, createAddressList(policy.override.from), shares, next),
      variants: new Map(Object.keys(policy.variants).map(name => [name, variantOf(record, name, before)])),
      deadlineMs: deadlineMs(policy),
      trustedProxies: policy.trustedProxies.length > 0 ? createAddressList(policy.trustedProxies) : undefined,
      retryBudget: before?.retryBudget ?? createRetryBudget(budgetPercent / 100, minPerSecond / workers, now),
      mirror: sameMirror ? before.mirror : mirrorOf(record),
      countResponse: before?.countResponse ?? createResponseCounts(counters, policy.name),
    }
  }

  function retireUnnamed(routes: readonly Route[], names: Iterable<string>): void {
    const named = new Set(routes.flatMap(route => [...keysOf(route)]))
    const touched = new Set(names)
    for (const [key, target] of targets) {
      if (named.has(key) || !touched.has(key.slice(0, key.indexOf(' ')))) continue
      targets.delete(key)
      states.delete(key)
      reporting.delete(target)
      target.retire()
    }
  }

  return {
    current: () => snapshot,
    apply(set, removed) {
      const routes = new Map(snapshot.routes)
      for (const name of removed) routes.delete(name)
      for (const record of set)
        routes.set(record.policy.name, routeOf(record, snapshot.routes.get(record.policy.name)))
      const changed = set.flatMap(({ policy }) => routes.get(policy.name) ?? [])
      const rematch =
        removed.length > 0 || changed.some(route => !sameMatch(route, snapshot.routes.get(route.name)))
      const table = rematch
        ? createRouteTable([...routes.values()].map(({ policy }) => policy))
        : snapshot.table
      snapshot = { routes, table }
      retireUnnamed(changed, [...removed, ...changed.map(({ name }) => name)])
    },
    setEndpointStates(changes) {
      for (const [key, state] of changes) {
        states.set(key, state)
        const target = targets.get(key)
        if (target) target.state = state
      }
    },
    takeEndpointReports() {
      const reports = [...reporting].flatMap(target => target.takeReport() ?? [])
      reporting.clear()
      return reports
    },
    ports: () => [...new Set([...snapshot.routes.values()].flatMap(({ policy }) => policy.match.port ?? []))],
  }
}

function* keysOf({ name, policy, mirror }: Route): Generator<EndpointKey> {
  for (const [variant, { endpoints }] of Object.entries(policy.variants)) {
    for (const endpoint of endpoints) {
      yield endpointKey(name, variant, endpoint)
      if (mirror) yield `${endpointKey(name, variant, endpoint)} mirror`
    }
  }
}

function sameMatch(route: Route, before: Route | undefined): boolean {
  return before !== undefined && JSON.stringify(before.policy.match) === JSON.stringify(route.policy.match)
}
