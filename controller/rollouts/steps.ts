import type { RolloutSpec } from '../../contract/rollout.ts'
import type { StepHook } from '../../contract/webhook.ts'
import { RAMP_WEIGHTS } from '../judge/ladder.ts'
import type { HeaderRoute, RolloutState } from './rollout-state.ts'
import { planOf, type PlanStep } from './strategies/plan.ts'

type AnyStepView =
  | { readonly kind: 'done' }
  | { readonly kind: 'set-weight'; readonly weightBp: number }
  | { readonly kind: 'mirror'; readonly percent: number }
  | { readonly kind: 'approval' }
  | { readonly kind: 'hook'; readonly hook: StepHook }
  | { readonly kind: 'header-route'; readonly route: HeaderRoute }
  | { readonly kind: 'analysis'; readonly excess: number; readonly minRequests: number }
  | { readonly kind: 'announce'; readonly notice: string; readonly durationMs: number }
  | { readonly kind: 'close' }
  | { readonly kind: 'deal'; readonly weightBp: number }
  | { readonly kind: 'replace' }
  | { readonly kind: 'record'; readonly durationMs: number }
  /** The strategy's judge says when it is over; null: not by the clock. */
  | { readonly kind: 'verdict'; readonly durationMs: number | null }
  | {
      readonly kind: 'pause'
      readonly durationMs: number | null
      /** The weight that the steps after this one lead to; its evidence is what the pause waits for. */
      readonly nextWeightPercent: number
      readonly riskBudget: number
    }
  | {
      readonly kind: 'ramp'
      readonly nextWeightPercent: number
      readonly riskBudget: number
      /** At the ramp's own end: one more look with its bound, then the ramp is done. */
      readonly atEnd: boolean
    }
export type StepView<Kind extends AnyStepView['kind']> = Extract<AnyStepView, { kind: Kind }>

/** How far a rollout has come. */
export type Place = Pick<RolloutState, 'step' | 'weightBp'> &
  Partial<Pick<RolloutState, 'stable' | 'replicas'>>

/** What the step at which a rollout stands asks for. */
export function currentStep(state: Place, spec: RolloutSpec): AnyStepView {
  const { steps } = planOf(spec, state)
  const step = steps[state.step]
  if (step === undefined) return { kind: 'done' }
  if ('setWeight' in step) return { kind: 'set-weight', weightBp: Math.round(step.setWeight * 100) }
  if ('mirror' in step) return { kind: 'mirror', percent: step.mirror.percent }
  if ('approval' in step) return { kind: 'approval' }
  if ('hook' in step) return { kind: 'hook', hook: step.hook }
  if ('headerRoute' in step) return { kind: 'header-route', route: step.headerRoute }
  if ('analysis' in step) {
    const { excess = spec.analysis.riskBudget, minRequests } = step.analysis
    return { kind: 'analysis', excess, minRequests }
  }
  if ('announce' in step) return { kind: 'announce', ...step.announce }
  if ('deal' in step) return { kind: 'deal', weightBp: step.deal.weightBp }
  if ('close' in step) return { kind: 'close' }
  if ('replace' in step) return { kind: 'replace' }
  if ('record' in step) return { kind: 'record', durationMs: step.record.durationMs }
  if ('watch' in step) return { kind: 'verdict', durationMs: spec.analysis.watch }
  if ('compare' in step || 'experiment' in step) return { kind: 'verdict', durationMs: null }
  if ('pause' in step) {
    return {
      kind: 'pause',
      durationMs: step.pause.duration ?? null,
      nextWeightPercent: nextWeight(steps.slice(state.step + 1), state.weightBp / 100),
      riskBudget: spec.analysis.riskBudget,
    }
  }
  const { to, riskBudget = spec.analysis.riskBudget } = step.ramp
  const present = state.weightBp / 100
  return { kind: 'ramp', nextWeightPercent: rampWeight(present, step.ramp), riskBudget, atEnd: present >= to }
}

/** Evidence compares two versions that both have traffic: at 0 and at 100 % there is none to wait for. */
export function hasBoth(weightBp: number): boolean {
  return weightBp > 0 && weightBp < 10_000
}

type Ramp = Extract<PlanStep, { ramp: object }>['ramp']

/** The smallest weight of the ladder (1, 5, 10, 25, 50, `to`) above the present one; `to` itself at the end. Percent. */
function rampWeight(presentPercent: number, ramp: Ramp): number {
  const rungs = 'rungs' in ramp ? ramp.rungs : RAMP_WEIGHTS
  return rungs.find(weight => weight > presentPercent && weight < ramp.to) ?? ramp.to
}

function nextWeight(steps: readonly PlanStep[], presentPercent: number): number {
  for (const step of steps) {
    if ('setWeight' in step) return step.setWeight
    if ('ramp' in step) return rampWeight(presentPercent, step.ramp)
  }
  return 100
}
