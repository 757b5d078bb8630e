import type { Step } from '../../../contract/strategy.ts'
import { inProcesses, sharesUpTo } from '../../judge/process-shares.ts'
import type { PlanStep } from './plan.ts'

/** A canary's steps where processes are replaced: weights are whole processes, and a ramp goes one by one. */
export function rollingSteps(steps: readonly Step[], processes: number): readonly PlanStep[] {
  return steps.map(step => {
    if ('setWeight' in step) return { setWeight: inProcesses(step.setWeight, processes) }
    if (!('ramp' in step)) return step
    const rungs = sharesUpTo(step.ramp.to, processes)
    return { ramp: { ...step.ramp, to: rungs.at(-1) ?? step.ramp.to, rungs } }
  })
}
