import type { VersionLookup } from '../registry/registry.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { armsOf, fallOf, lackingArms } from './arms.ts'
import { DRAIN_MS } from './capacity.ts'
import type { RolloutState } from './rollout-state.ts'

/** The further versions of an experiment run beside the candidate, with as many processes as they are to have. Doing it again is doing nothing. */
export async function deployArms(
  runtime: Runtime,
  registry: VersionLookup,
  state: RolloutState,
): Promise<void> {
  for (const { deployment, version, replicas: instances } of lackingArms(state))
    await runtime.deploy({ id: deployment.id, version: await registry.get(state.model, version), instances })
}

/** Capacity goes after traffic: a withdrawn arm's process stops once no worker sends it requests, and the last had time to finish. */
export function releaseFallenArms(runtime: Runtime, before: RolloutState, after: RolloutState): void {
  for (const { variant, deployment } of armsOf(after)) {
    const isReleased = after.experiment && fallOf(after.experiment, variant)?.released
    const wasReleased = before.experiment && fallOf(before.experiment, variant)?.released
    if (isReleased && !wasReleased && deployment.own) runtime.stop(deployment.id, DRAIN_MS)
  }
}
