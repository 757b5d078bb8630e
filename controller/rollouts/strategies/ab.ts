import { armSharesBp } from '../../../contract/ab.ts'
import type { Strategy } from '../../../contract/strategy.ts'
import type { PlanStep } from './plan.ts'

/** The shares stay as they are until users have decided: feedback of different shares cannot be added up. */
export function abSteps(ab: NonNullable<Strategy['ab']>): readonly PlanStep[] {
  const [weightBp = 0] = armSharesBp(ab)
  return [{ deal: { weightBp } }, { experiment: {} }, ...(ab.approval ? [{ approval: {} }] : [])]
}
