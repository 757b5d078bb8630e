import type { Runtime } from '../runtime/runtime.ts'
import { armsOf } from './arms.ts'
import type { RolloutState } from './rollout-state.ts'
import { wantedPolicy } from './wanted-policy.ts'

/** Requests that were on their way to a version when its traffic was taken away have this long to finish. */
export const DRAIN_MS = 15_000

/** Capacity goes after traffic: what no variant points to any more is stopped once its last requests had time to finish. */
export function releaseCapacity(runtime: Runtime, state: RolloutState): void {
  const { stable, candidate } = wantedPolicy(state).variants
  const kept = new Set([...stable.endpoints, ...candidate.endpoints])
  const arms = armsOf(state).filter(({ endpoints }) => !endpoints.some(endpoint => kept.has(endpoint)))
  const involved = [...state.previousCandidateEndpoints, ...state.candidate.endpoints].filter(
    endpoint => !kept.has(endpoint),
  )
  const whole = involved
    .map(endpoint => runtime.at(endpoint))
    .filter(deployment => !deployment?.endpoints.some(endpoint => kept.has(endpoint)))
  const ids = new Set(whole.map(deployment => deployment?.id).filter(id => id !== undefined))
  if (state.replicas.baseline) ids.add(state.replicas.baseline.id)
  if (state.deployment.own && state.phase !== 'Promoted') ids.add(state.deployment.id)
  for (const { deployment } of arms) if (deployment.own) ids.add(deployment.id)
  for (const id of ids) runtime.stop(id, DRAIN_MS)
}
