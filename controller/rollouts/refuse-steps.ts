import { WeirError } from '../../contract/errors.ts'
import type { RolloutFile } from '../../contract/rollout.ts'
import type { Step } from '../../contract/strategy.ts'
import { budgetFor } from '../judge/ladder.ts'
import { hasBoth } from './steps.ts'

/** Steps that are right each by itself, but not one after the other: they would wait for what cannot come. */
export function refuseSteps({ spec: { strategy } }: RolloutFile): void {
  let weightPercent = 0
  for (const [index, step] of (strategy.canary?.steps ?? []).entries()) {
    const problem = problemOf(step, weightPercent)
    if (problem) throw new WeirError('invalid_setting', `spec.strategy.canary.steps.${index}.${problem}`)
    if ('setWeight' in step) weightPercent = step.setWeight
    if ('ramp' in step) weightPercent = step.ramp.to
  }
}

/** Starting with the setting's name. */
function problemOf(step: Step, weightPercent: number): string | undefined {
  if ('ramp' in step && (step.ramp.to === 0 || step.ramp.to < weightPercent))
    return `ramp.to: ${step.ramp.to} % is not above the ${weightPercent} % that are set before`
  if (!('analysis' in step)) return undefined
  if (!hasBoth(weightPercent * 100))
    return `analysis: at ${weightPercent} % one version has no traffic, so nothing can be compared; set another weight before`
  const { excess = 0 } = step.analysis
  const most = budgetFor(100, 1)
  return excess > most ? `analysis.excess: must be at most ${most * 100}pp` : undefined
}
