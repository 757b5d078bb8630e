import type { Strategy } from '../../../contract/strategy.ts'
import type { PlanStep } from './plan.ts'

/**
 * Green is ready beside blue, at weight 0. Blue is recorded, then one policy gives green all traffic, and while it is watched
 * blue is kept: a withdrawal is one policy as well.
 */
export function blueGreenSteps({
  record,
  approval,
}: NonNullable<Strategy['blueGreen']>): readonly PlanStep[] {
  return [
    ...(record > 0 ? [{ record: { durationMs: record } }] : []),
    ...(approval ? [{ approval: {} }] : []),
    { setWeight: 100 },
    { watch: {} },
  ]
}
