import type { Strategy } from '../../../contract/strategy.ts'
import type { PlanStep } from './plan.ts'

/** The old version stops, the new one starts; users are told in advance. */
export function recreateSteps({ announce, notice }: NonNullable<Strategy['recreate']>): readonly PlanStep[] {
  return [
    ...(announce > 0
      ? [{ announce: { notice, durationMs: announce } }, { pause: { duration: announce } }]
      : []),
    { close: {} },
    { replace: {} },
    { watch: {} },
  ]
}
