import type { Step } from '../../contract/strategy.ts'
import { inProcesses, sharesUpTo } from './process-shares.ts'

/** A weight that a rollout goes to next, and the bound on the excess that allows it. */
export interface Rung {
  readonly weightPercent: number
  readonly budget: number
}

export const RAMP_WEIGHTS: readonly number[] = [1, 5, 10, 25, 50]
/** No excess above this is ever allowed, however small the share of users that see it. */
const MAX_EXCESS = 0.05

/** The largest excess, a fraction, that may be possible before the candidate gets `weightPercent`. */
export function budgetFor(weightPercent: number, riskBudget: number): number {
  return Math.min((riskBudget * 100) / weightPercent, MAX_EXCESS)
}

export interface RampPosition {
  readonly weightPercent: number
  /** Where the ramp ends; promotion to 100 follows. */
  readonly to: number
  /** Largest upper bound over the gating metrics. */
  readonly bound: number
  readonly riskBudget: number
}

/** The weight that the evidence allows next, undefined while it allows none. From `to` on that is 100. */
export function nextRampWeight({ weightPercent, to, bound, riskBudget }: RampPosition): number | undefined {
  const next = rampRungs(to, riskBudget).find(rung => rung.weightPercent > weightPercent)
  return next && bound <= next.budget ? next.weightPercent : undefined
}

/** A ramp's weights below `to`, `to`, and 100, which needs no more than `to` did: by then nearly all users see it. */
function rampRungs(to: number, riskBudget: number, processes?: number): readonly Rung[] {
  const weights =
    processes === undefined ? [...RAMP_WEIGHTS.filter(weight => weight < to), to] : sharesUpTo(to, processes)
  const rungs = weights.map(weight => ({ weightPercent: weight, budget: budgetFor(weight, riskBudget) }))
  return [...rungs, { weightPercent: 100, budget: budgetFor(weights.at(-1) ?? to, riskBudget) }]
}

/**
 * Every weight that a canary's steps go through, in their order, and 100. Where so many `processes` are replaced one by one they
 * are whole processes.
 */
export function ladderOf(steps: readonly Step[], riskBudget: number, processes?: number): readonly Rung[] {
  let promotion: Rung = { weightPercent: 100, budget: budgetFor(100, riskBudget) }
  const rungs: Rung[] = []
  for (const step of steps) {
    const next = rungsOf(step, riskBudget, processes)
    rungs.push(...next.filter(rung => rung.weightPercent < 100))
    promotion = next.at(-1) ?? promotion
  }
  return [...rungs, { weightPercent: 100, budget: promotion.budget }]
}

function rungsOf(step: Step, riskBudget: number, processes?: number): readonly Rung[] {
  if ('ramp' in step) return rampRungs(step.ramp.to, step.ramp.riskBudget ?? riskBudget, processes)
  if ('setWeight' in step) {
    const weight = processes === undefined ? step.setWeight : inProcesses(step.setWeight, processes)
    return [
      { weightPercent: weight, budget: budgetFor(weight, riskBudget) },
      { weightPercent: 100, budget: budgetFor(100, riskBudget) },
    ]
  }
  return []
}

/** The first rung above a weight; undefined at 100. */
export function rungAbove(ladder: readonly Rung[], weightPercent: number): Rung | undefined {
  return ladder.find(rung => rung.weightPercent > weightPercent)
}
