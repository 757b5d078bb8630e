import type { Strategy } from '../../../contract/strategy.ts'
import type { PlanStep } from './plan.ts'

/** No user sees an answer of the candidate before it is stable. */
export function shadowSteps({ percent, approval }: NonNullable<Strategy['shadow']>): readonly PlanStep[] {
  return [{ mirror: { percent } }, { compare: {} }, ...(approval ? [{ approval: {} }] : [])]
}
