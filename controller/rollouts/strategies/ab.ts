import type { Strategy } from '../../../contract/strategy.ts'
import type { PlanStep } from './plan.ts'

/** The shares stay as they are until users have decided: feedback of different shares cannot be added up. */
export function abSteps({ weight, approval }: NonNullable<Strategy['ab']>): readonly PlanStep[] {
  return [{ setWeight: weight }, { experiment: {} }, ...(approval ? [{ approval: {} }] : [])]
}
