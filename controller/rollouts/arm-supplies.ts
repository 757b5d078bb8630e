import { fallOf, type FurtherArm } from './arms.ts'
import { inService, replicasFor, supplyOf, type Supply } from './replicas.ts'
import type { Observation } from './rollout-machine.ts'
import { isJudged, type RolloutState } from './rollout-state.ts'

// The processes of an experiment's further arms: as many as their shares take, also where somebody else changed the shares. Pure.

/** By variant, of the arms that stand; none before users are dealt to them, nor when users have decided. */
export function suppliesOfArms(
  { experiment, replicas, phase }: RolloutState,
  seen: Observation,
): ReadonlyMap<string, Supply> {
  if (experiment === null || !experiment.isDealt || !isJudged({ phase })) return new Map()
  const standing = experiment.others.filter(({ variant }) => !fallOf(experiment, variant))
  return new Map(
    standing.map(arm => [
      arm.variant,
      supplyOf({
        who: `version ${arm.version}`,
        need: experiment.by === null ? replicasOfArm(arm, replicas) : replicas.full,
        endpoints: arm.endpoints,
        wanted: arm.replicas,
        digest: arm.digest,
        status: seen.arms?.[arm.variant],
      }),
    ]),
  )
}

function replicasOfArm({ weightBp }: FurtherArm, { full }: RolloutState['replicas']): number {
  return replicasFor(weightBp, { full, least: 1 })
}

/** Who is in service from now on. */
export function withArmSupplies(
  { experiment }: RolloutState,
  supplies: ReadonlyMap<string, Supply>,
  isMissing: boolean,
): RolloutState['experiment'] {
  if (experiment === null) return null
  const others = experiment.others.map(arm => {
    const supply = supplies.get(arm.variant)
    if (supply === undefined) return arm
    const { endpoints, wanted } = inService(supply, arm.endpoints, isMissing)
    return { ...arm, endpoints, replicas: wanted }
  })
  return { ...experiment, others }
}
