import type { RoutePolicy } from '../../contract/policy.ts'
import type { StoredRollout } from '../rollouts/rollout-store.ts'
import type { Deployment } from '../runtime/runtime.ts'
import type { EnvironmentState } from './environment-state.ts'

interface Users {
  readonly environments: readonly EnvironmentState[]
  readonly rollouts: readonly StoredRollout[]
  readonly policies: readonly RoutePolicy[]
}

/**
 * Deployments that environments began and nobody needs any more: no environment runs them or keeps them warm, no route leads to
 * them, no rollout may go back to them. Pure.
 */
export function needless(
  running: readonly Deployment[],
  began: ReadonlySet<string>,
  { environments, rollouts, policies }: Users,
): readonly string[] {
  const placements = environments.flatMap(({ current, work, warm }) => [
    ...(current === null ? [] : [current]),
    ...(work?.kind === 'deploy' ? [work.target] : []),
    ...warm,
  ])
  const ids = new Set([
    ...placements.map(({ deployment }) => deployment),
    ...rollouts.map(({ state }) => state.deployment.id),
  ])
  const endpoints = new Set([
    ...policies.flatMap(({ variants }) => Object.values(variants).flatMap(variant => variant.endpoints)),
    ...rollouts.flatMap(({ state }) => [...state.stable.endpoints, ...state.previousCandidateEndpoints]),
  ])
  return running
    .filter(({ id }) => began.has(id) && !ids.has(id))
    .filter(deployment => !deployment.endpoints.some(endpoint => endpoints.has(endpoint)))
    .map(({ id }) => id)
}
