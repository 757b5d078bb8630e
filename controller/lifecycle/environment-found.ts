import type { PolicyView } from '../../client/gateway.ts'
import { createServingClient } from '../../client/serving.ts'
import type { Log } from '../../lib/log.ts'
import type { Registry } from '../registry/registry.ts'
import type { RolloutStore } from '../rollouts/rollout-store.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { sameEndpoints } from './environment-routes.ts'
import type { EnvironmentSeen } from './environment-seen.ts'
import { isGood, type EnvironmentState, type Placement } from './environment-state.ts'
import type { EnvironmentStore } from './environment-store.ts'
import { registeredAs, whyNotRegistered } from './registered-as.ts'

interface FinderOptions {
  readonly environments: EnvironmentStore
  readonly rollouts: Pick<RolloutStore, 'active' | 'list'>
  readonly runtime: Pick<Runtime, 'at' | 'status'>
  readonly registry: Pick<Registry, 'get'>
  /** The public route. */
  readonly route: string
  readonly log: Log
}

/** What the public route leads to by somebody else's doing. */
export type Others = Pick<EnvironmentSeen, 'found' | 'held' | 'gone'>

export const NO_OTHERS: Others = { found: null, held: null, gone: null }
export const UNKNOWN_OTHERS: Others = { ...NO_OTHERS, held: undefined }

/** Finds what somebody else led the public route to: a rollout that promoted, an operator, or what was there at the beginning. */
export function createFinder({ environments, rollouts, runtime, registry, route, log }: FinderOptions) {
  const isRolloutUnderWay = () => rollouts.active().some(rollout => rollout.route === route)

  return async (state: EnvironmentState, { policy }: PolicyView): Promise<Others> => {
    const stable = policy.variants['stable']?.endpoints ?? []
    const candidate = policy.variants['candidate']?.endpoints ?? []
    const known = state.work?.kind === 'deploy' ? state.work.target.endpoints : state.current?.endpoints
    const endpoints = state.name === 'production' ? stable : candidate
    if (state.name === 'canary' && endpoints.length === 0) return afterRollout(state, stable)
    if (endpoints.length === 0 || sameEndpoints(endpoints, known ?? [])) return NO_OTHERS
    if (state.name === 'production') {
      if (isRolloutUnderWay()) return NO_OTHERS // it may go back yet
    } else if (sameEndpoints(endpoints, stable) || wasProduction(endpoints) || isLent(endpoints))
      return NO_OTHERS
    const [endpoint = ''] = endpoints
    const deployment = runtime.at(endpoint)
    if (deployment?.drilled === true) return NO_OTHERS // a rehearsal, not a version on its way
    const answer = await sameAnswer(endpoints)
    if (answer === null) return NO_OTHERS
    // a rollout's own processes of what runs here: it stops them itself where it is withdrawn
    const isOfRollout = state.name === 'canary' && isRolloutUnderWay()
    if (isOfRollout && answer.digest === state.current?.digest) return NO_OTHERS
    return follow(state, { ...answer, deployment: deployment?.id ?? null, endpoints })
  }

  /** Where the public candidate is nothing, and what canary ran was stopped with the rollout that had brought or exchanged it. */
  async function afterRollout(
    { current, work }: EnvironmentState,
    stable: readonly string[],
  ): Promise<Others> {
    const { current: production, work: change } = environments.get('production').state
    if (work !== null || current === null || current.deployment === null || isRolloutUnderWay())
      return NO_OTHERS
    if (change !== null || !sameEndpoints(production?.endpoints ?? [], stable)) return NO_OTHERS // it has yet to follow
    const { kind } = await runtime.status(current.deployment)
    if (kind !== 'absent' && kind !== 'stopping') return NO_OTHERS
    if (production?.digest !== current.digest)
      return {
        ...NO_OTHERS,
        gone: `version ${current.version} runs no more, and the public candidate is nothing`,
      }
    if (production.deployment === current.deployment) return NO_OTHERS
    // two of them do not fit side by side, so the rollout promoted processes of its own: they are canary's, too
    const reason = `production has taken version ${production.version} over`
    const entry = environments.entry('production', production.revision)
    const { revision: _, ...placement } = production
    return { ...NO_OTHERS, found: { placement, reason, good: isGood(entry) ? reason : null } }
  }

  /** Only what the registry knows by exactly this digest: an alias is to lead to it. */
  async function follow(state: EnvironmentState, placement: Placement): Promise<Others> {
    const { version, digest } = placement
    const as = await registeredAs(registry, state.model, version)
    if (as === undefined) {
      log.warn(
        { environment: state.name, version, digest },
        'not followed until the registry says what that is',
      )
      return UNKNOWN_OTHERS
    }
    const why = whyNotRegistered(placement, as)
    if (why === null) return { ...NO_OTHERS, found: { placement, ...whyThere(state, placement) } }
    const lead = state.name === 'production' ? 'the public route leads to' : 'the public candidate is'
    const held = `${lead} what calls itself version ${version} (${digest}), but ${why}: it is not followed`
    return { ...NO_OTHERS, held }
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

  /** While copies of live requests are compared, the candidate's place is lent to another version. */
  function isLent(endpoints: readonly string[]): boolean {
    const { lent } = environments.get('canary').state
    return lent !== null && sameEndpoints(endpoints, lent.endpoints)
  }

  function whyThere(state: EnvironmentState, { version, digest, endpoints }: Placement) {
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
}

/** All of them must be the same version; null while one does not say what it is. */
async function sameAnswer(endpoints: readonly string[]): Promise<{ version: string; digest: string } | null> {
  const asked = endpoints.map(async baseUrl => createServingClient({ baseUrl }).version())
  const answers = await Promise.all(asked).catch(() => [])
  const [first] = answers
  if (first === undefined || answers.some(({ digest }) => digest !== first.digest)) return null
  return { version: first.model_version, digest: first.digest }
}
