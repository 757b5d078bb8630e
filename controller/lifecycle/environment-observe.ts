import type { GatewayClient, PolicyView } from '../../client/gateway.ts'
import { createServingClient } from '../../client/serving.ts'
import type { EnvironmentSettings } from '../../contract/environment.ts'
import type { GateResult } from '../../contract/gate.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Registry } from '../registry/registry.ts'
import type { RolloutStore } from '../rollouts/rollout-store.ts'
import type { DeploymentObserver } from '../runtime/facts.ts'
import type { DeploymentStatus, Runtime } from '../runtime/runtime.ts'
import { endOfWaiting } from './gates/end-of-version.ts'
import { createFinder, NO_OTHERS, UNKNOWN_OTHERS, type Others } from './environment-found.ts'
import { routesSay, wantedRoutes, type Place, type RoutePatch } from './environment-routes.ts'
import type { EnvironmentSeen, PublicRoute } from './environment-seen.ts'
import { wasSwitched, type EnvironmentState } from './environment-state.ts'
import type { EnvironmentStore } from './environment-store.ts'
import { registeredAs, type RegisteredAs } from './registered-as.ts'

interface ObserverOptions {
  readonly environments: EnvironmentStore
  readonly rollouts: Pick<RolloutStore, 'active' | 'list'>
  readonly gateway: Pick<GatewayClient, 'routes' | 'status'>
  readonly runtime: Runtime & DeploymentObserver
  readonly settings: Pick<EnvironmentSettings, 'readyWithin'>
  readonly registry: Pick<Registry, 'aliases' | 'get'>
  /** The public route. */
  readonly route: string
  readonly clock: Clock
  readonly log: Log
}

/** What one look found, with the policies that it was found by; those are null when the gateway could not be asked. */
export interface EnvironmentLook {
  readonly seen: EnvironmentSeen
  readonly policies: ReadonlyMap<string, PolicyView> | null
}

const NOT_ASKED: DeploymentStatus = { kind: 'absent' }

/** Which version answers at an environment's own route; null: none does. */
export async function askPlace({ url, variant }: Place): Promise<EnvironmentSeen['answer']> {
  const client = createServingClient({ baseUrl: url, headers: { 'x-weir-variant': variant } })
  const answer = await client.version().catch(() => null) // that nothing answers is an answer
  return answer && { version: answer.model_version, digest: answer.digest }
}

/** Asks everybody what an environment's next state depends on. Never throws for a peer that is slow, gone or lying. */
export function createEnvironmentObserver(options: ObserverOptions) {
  const { gateway, runtime, registry, route, clock, log } = options
  const find = createFinder(options)

  /** Told once, until it answers again. */
  let away = false

  async function policiesByRoute(name: string): Promise<ReadonlyMap<string, PolicyView> | null> {
    try {
      const views = await gateway.routes()
      away = false
      return new Map(views.map(view => [view.policy.name, view]))
    } catch (error) {
      if (!away) log.warn({ environment: name, reason: describeProblem(error) }, 'the routes cannot be read')
      away = true
      return null
    }
  }

  /** That a policy is stored is not enough: every worker must have it, or the next request may still go elsewhere. */
  async function isApplied(policies: ReadonlyMap<string, PolicyView>, wanted: readonly RoutePatch[]) {
    if (!routesSay(policies, wanted)) return false
    const statuses = await Promise.all(wanted.map(async patch => gateway.status(patch.route))).catch(() => [])
    return (
      statuses.length === wanted.length &&
      statuses.every(({ workers, version }) => workers.every(worker => worker.version === version))
    )
  }

  async function aliasOf({ model, name }: EnvironmentState): Promise<string | null | undefined> {
    try {
      return (await registry.aliases(model))[name] ?? null
    } catch (error) {
      log.warn({ environment: name, reason: describeProblem(error) }, 'the registry cannot be asked')
      return undefined
    }
  }

  /** Of the version that the alias is to lead to. */
  async function registeredOf({ model, work, current }: EnvironmentState): Promise<RegisteredAs | undefined> {
    if (work?.kind !== 'deploy') return undefined
    const placement = work.stage === 'aliasing' ? work.target : current
    return placement === null ? undefined : registeredAs(registry, model, placement.version)
  }

  async function findOthers(state: EnvironmentState, publicView: PolicyView | undefined): Promise<Others> {
    return publicView === undefined ? UNKNOWN_OTHERS : find(state, publicView)
  }

  /** A version that refuses, or that dies again and again, is not waited for until its time is over. */
  async function whyNever(state: EnvironmentState, status: DeploymentStatus): Promise<GateResult | null> {
    const { work } = state
    if (work?.kind !== 'deploy' || work.stage !== 'starting' || work.target.deployment === null) return null
    const facts = await runtime.facts(work.target.deployment)
    if (facts === undefined) return null // not deployed yet
    const { since: startedAt } = work
    const readyWithinMs = options.settings.readyWithin
    return endOfWaiting({ status, facts, startedAt, now: clock.now(), readyWithinMs }) ?? null
  }

  return async (state: EnvironmentState, place: Place): Promise<EnvironmentLook> => {
    const { work } = state
    const policies = await policiesByRoute(state.name)
    const publicView = policies?.get(route)
    const wanted = publicView === undefined ? [] : wantedRoutes(state, place, publicView.policy)
    const starting = work?.kind === 'deploy' && work.stage === 'starting' ? work.target.deployment : null
    const mayFollow = work === null || (work.kind === 'deploy' && work.how === 'follow')
    const asWanted = policies !== null && publicView !== undefined && (await isApplied(policies, wanted))
    const isBooking = movesAlias(work, asWanted)
    const [answer, target, alias, registered, others] = await Promise.all([
      askPlace(place),
      starting === null ? NOT_ASKED : runtime.status(starting),
      isBooking ? aliasOf(state) : undefined,
      isBooking ? registeredOf(state) : undefined,
      mayFollow && state.name !== 'staging' ? findOthers(state, publicView) : NO_OTHERS,
    ])
    const ending = await whyNever(state, target)
    const publicRoute = publicView === undefined ? null : publicRouteOf(publicView)
    const seen = {
      now: clock.now(),
      asWanted,
      target,
      ending,
      answer,
      alias,
      registered,
      publicRoute,
      ...others,
    }
    return { seen, policies }
  }
}

/** The registry may be away, or slow to say so: it is asked only where something depends on it, and no user waits for that. */
function movesAlias(work: EnvironmentState['work'], asWanted: boolean): boolean {
  if (work === null) return false
  if (work.kind === 'deploy' && work.stage === 'aliasing') return true
  return asWanted && (work.kind === 'close' || (work.stage === 'returning' && wasSwitched(work)))
}

function publicRouteOf({ policy: { variants, weights } }: PolicyView): PublicRoute {
  const endpointsOf = (variant: string) => variants[variant]?.endpoints ?? []
  return { stable: { endpoints: endpointsOf('stable'), weights }, candidate: endpointsOf('candidate') }
}
