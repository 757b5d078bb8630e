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
import type { EnvironmentSeen, Found } from './environment-machine.ts'
import { routesSay, sameEndpoints, wantedRoutes, type Place, type RoutePatch } from './environment-routes.ts'
import type { EnvironmentState } from './environment-state.ts'
import type { EnvironmentStore } from './environment-store.ts'

interface ObserverOptions {
  readonly environments: EnvironmentStore
  readonly rollouts: Pick<RolloutStore, 'active' | 'list'>
  readonly gateway: Pick<GatewayClient, 'routes' | 'status'>
  readonly runtime: Runtime & DeploymentObserver
  readonly settings: Pick<EnvironmentSettings, 'readyWithin'>
  readonly registry: Pick<Registry, 'aliases'>
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
  const { environments, rollouts, gateway, runtime, registry, route, clock, log } = options

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

  /** What somebody else led the public route to: a rollout that promoted, an operator, or what was there at the beginning. */
  async function findOther(state: EnvironmentState, { policy }: PolicyView): Promise<Found | null> {
    const stable = policy.variants['stable']?.endpoints ?? []
    const candidate = policy.variants['candidate']?.endpoints ?? []
    const known = state.work?.kind === 'deploy' ? state.work.target.endpoints : state.current?.endpoints
    const endpoints = state.name === 'production' ? stable : candidate
    if (endpoints.length === 0 || sameEndpoints(endpoints, known ?? [])) return null
    if (state.name === 'production') {
      if (rollouts.active().some(rollout => rollout.route === route)) return null // it may go back yet
    } else if (sameEndpoints(endpoints, stable) || wasProduction(endpoints) || isLent(endpoints)) return null
    const [endpoint = ''] = endpoints
    const deployment = runtime.at(endpoint)
    if (deployment?.drilled === true) return null // a rehearsal, not a version on its way
    const answer = await sameAnswer(endpoints)
    if (answer === null) return null
    const placement = { ...answer, deployment: deployment?.id ?? null, endpoints }
    return { placement, ...whyThere(state, placement) }
  }

  /** After a promotion the candidate leads to the version that was stable, kept warm: it is no candidate for anything. */
  function wasProduction(endpoints: readonly string[]): boolean {
    const ids = new Set(endpoints.map(endpoint => runtime.at(endpoint)?.id ?? endpoint))
    return environments
      .history('production')
      .some(({ deployment, endpoints: there }) =>
        deployment === null ? there.some(endpoint => ids.has(endpoint)) : ids.has(deployment),
      )
  }

  /** While copies of live requests are compared, the candidate's place is lent to what runs in staging. */
  function isLent(endpoints: readonly string[]): boolean {
    const { current } = environments.get('staging').state
    return current !== null && sameEndpoints(endpoints, current.endpoints)
  }

  function whyThere(state: EnvironmentState, { version, digest, endpoints }: Found['placement']) {
    if (state.name === 'canary') return { reason: `the public candidate is version ${version}`, good: null }
    const promoted = rollouts
      .list()
      .find(
        rollout =>
          rollout.route === route &&
          rollout.state.phase === 'Promoted' &&
          rollout.state.candidate.digest === digest &&
          sameEndpoints(rollout.state.candidate.endpoints, endpoints),
      )
    if (promoted !== undefined) {
      const reason = `rollout ${promoted.name} promoted version ${version}`
      return { reason, good: reason }
    }
    const isFirst = environments.history('production', 1).length === 0
    if (isFirst) {
      const reason = `version ${version} served users when the environments began`
      return { reason, good: reason }
    }
    return { reason: `the public route was led to version ${version}`, good: null }
  }

  return async (state: EnvironmentState, place: Place): Promise<EnvironmentLook> => {
    const { work } = state
    const policies = await policiesByRoute(state.name)
    const publicView = policies?.get(route)
    const wanted = publicView === undefined ? [] : wantedRoutes(state, place, publicView.policy)
    const starting = work?.kind === 'deploy' && work.stage === 'starting' ? work.target.deployment : null
    const mayFollow = work === null || (work.kind === 'deploy' && work.how === 'follow')
    const [answer, asWanted, target, alias, found] = await Promise.all([
      askPlace(place),
      policies !== null && publicView !== undefined && isApplied(policies, wanted),
      starting === null ? NOT_ASKED : runtime.status(starting),
      work === null ? undefined : aliasOf(state),
      publicView !== undefined && mayFollow && state.name !== 'staging' ? findOther(state, publicView) : null,
    ])
    const ending = await whyNever(state, target)
    const candidateEndpoints = publicView?.policy.variants['candidate']?.endpoints ?? []
    return {
      seen: { now: clock.now(), asWanted, target, ending, answer, alias, candidateEndpoints, found },
      policies,
    }
  }
}

/** All of them must be the same version; null while one does not say what it is. */
async function sameAnswer(endpoints: readonly string[]): Promise<{ version: string; digest: string } | null> {
  const asked = endpoints.map(async baseUrl => createServingClient({ baseUrl }).version())
  const answers = await Promise.all(asked).catch(() => [])
  const [first] = answers
  if (first === undefined || answers.some(({ digest }) => digest !== first.digest)) return null
  return { version: first.model_version, digest: first.digest }
}
