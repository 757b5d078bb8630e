import type { RolloutSpec } from '../../contract/rollout.ts'
import type { Stage } from '../judge/climb.ts'
import { budgetFor } from '../judge/ladder.ts'
import { planOf } from './strategies/plan.ts'
import { currentStep, hasBoth, type Place, type StepView } from './steps.ts'

export interface WayAhead {
  readonly stages: readonly Stage[]
  /** Some step waits for a person, for a time that nobody foresees. */
  readonly needsPerson: boolean
}

/**
 * Every weight at which a rollout will stay from here on, in the order in which its steps will be walked; of the present one what is
 * left of its time after `spentMs`. What a person is waited for is no stage.
 */
export function wayAhead(from: Place, spec: RolloutSpec, spentMs = 0): WayAhead {
  const stages: Stage[] = []
  let needsPerson = false
  let { step, weightBp } = from
  const left = (durationMs: number) => Math.max(0, durationMs - (step === from.step ? spentMs : 0))
  for (;;) {
    const view = currentStep({ ...from, step, weightBp }, spec)
    switch (view.kind) {
      case 'done':
        return { stages, needsPerson }
      case 'approval':
        needsPerson = true
        step += 1
        break
      case 'pause':
        if (view.durationMs === null) needsPerson = true
        else stages.push(pauseStage(view, { weightBp, durationMs: left(view.durationMs) }, spec))
        step += 1
        break
      case 'hook':
        stages.push(clockStage(left(view.hook.timeout), weightBp))
        step += 1
        break
      case 'deal':
      case 'set-weight':
        weightBp = view.weightBp
        step += 1
        break
      case 'ramp':
        if (hasBoth(weightBp)) stages.push(rampStage(view, weightBp, spec))
        if (view.atEnd) step += 1
        else weightBp = Math.round(view.nextWeightPercent * 100)
        break
      case 'analysis':
        stages.push(analysisStage(view, weightBp))
        step += 1
        break
      case 'record':
        stages.push(clockStage(left(view.durationMs), weightBp))
        step += 1
        break
      case 'verdict':
        stages.push({ ...clockStage(left(view.durationMs ?? 0), weightBp), minCandidateRequests: 1 })
        step += 1
        break
      case 'replace':
        weightBp = 10_000
        step += 1
        break
      case 'announce': // a pause of its length follows
      case 'close':
      case 'header-route':
      case 'mirror':
        step += 1
    }
  }
}

/** A verdict that goes neither by the clock nor by a number of requests comes when it comes. */
export function isForeseeable(from: Place, spec: RolloutSpec): boolean {
  return planOf(spec, from)
    .steps.slice(from.step)
    .every(step => !('compare' in step || 'experiment' in step))
}

function pauseStage(
  view: StepView<'pause'>,
  { weightBp, durationMs }: { readonly weightBp: number; readonly durationMs: number },
  spec: RolloutSpec,
): Stage {
  const byTime = spec.analysis.advance === 'time'
  return {
    weightPercent: weightBp / 100,
    excess: byTime || !hasBoth(weightBp) ? null : budgetFor(view.nextWeightPercent, view.riskBudget),
    minSeconds: durationMs / 1000,
    minCandidateRequests: byTime && hasBoth(weightBp) ? spec.analysis.minRequests : 0,
  }
}

function analysisStage({ excess, minRequests }: StepView<'analysis'>, weightBp: number): Stage {
  return {
    weightPercent: weightBp / 100,
    excess: weightBp === 0 ? null : budgetFor(100, excess),
    minSeconds: 0,
    minCandidateRequests: weightBp === 0 ? 0 : minRequests,
  }
}

function rampStage(view: StepView<'ramp'>, weightBp: number, spec: RolloutSpec): Stage {
  const byTime = spec.analysis.advance === 'time'
  return {
    weightPercent: weightBp / 100,
    excess: byTime ? null : budgetFor(view.nextWeightPercent, view.riskBudget),
    minSeconds: 0,
    minCandidateRequests: byTime ? spec.analysis.minRequests : 0,
  }
}

function clockStage(durationMs: number, weightBp: number): Stage {
  return {
    weightPercent: weightBp / 100,
    excess: null,
    minSeconds: durationMs / 1000,
    minCandidateRequests: 0,
  }
}
