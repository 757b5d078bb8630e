import type { RolloutSpec } from '../../../contract/rollout.ts'
import type { Step, Strategy, StrategyName } from '../../../contract/strategy.ts'
import { isFirst, type RolloutState } from '../rollout-state.ts'
import { abSteps } from './ab.ts'
import { blueGreenSteps } from './blue-green.ts'
import { recreateSteps } from './recreate.ts'
import { rollingSteps } from './rolling.ts'
import { shadowSteps } from './shadow.ts'

/** What strategies do beyond the steps that people write. */
export type PlanStep =
  | Step
  /** Through these weights, percent, in place of the usual ones. */
  | {
      readonly ramp: {
        readonly riskBudget?: number | undefined
        readonly to: number
        readonly rungs: readonly number[]
      }
    }
  /** Stable is recorded at least this long, and as many requests as a comparison needs. */
  | { readonly record: { readonly durationMs: number } }
  /** The candidate has all traffic; it is watched for `analysis.watch`, by itself. */
  | { readonly watch: object }
  /** Copies are compared with live answers until they are proven alike, or not. */
  | { readonly compare: object }
  /** Users are told that the route will be closed for a while. */
  | { readonly announce: { readonly notice: string; readonly durationMs: number } }
  /** No variant takes requests. */
  | { readonly close: object }
  /** The old version stops, then the new one starts. */
  | { readonly replace: object }
  /** Users are dealt to the arms; the candidate's weight in hundredths of a percent, 0 where a header decides. */
  | { readonly deal: { readonly weightBp: number } }
  /** Users decide between the arms. */
  | { readonly experiment: object }

export interface Plan {
  readonly strategy: StrategyName
  readonly steps: readonly PlanStep[]
}

/** The first version of a route has nothing to be compared with: it takes all traffic and is watched. */
const FIRST_VERSION: readonly PlanStep[] = [{ setWeight: 100 }, { watch: {} }]

/** What a strategy compiles to: steps for the one walker. */
export function planOf(
  { strategy }: Pick<RolloutSpec, 'strategy'>,
  place: Partial<Pick<RolloutState, 'stable' | 'replicas'>>,
): Plan {
  const plan = planBeside(strategy)
  if (isFirst(place)) return { ...plan, steps: FIRST_VERSION }
  const { canary } = strategy
  if (!canary || !place.replicas?.rolling) return plan
  return { ...plan, steps: rollingSteps(canary.steps, place.replicas.full) }
}

function planBeside(strategy: Strategy): Plan {
  const { canary, blueGreen, shadow, ab, recreate } = strategy
  if (canary) return { strategy: 'canary', steps: canary.steps }
  if (blueGreen) return { strategy: 'blueGreen', steps: blueGreenSteps(blueGreen) }
  if (shadow) return { strategy: 'shadow', steps: shadowSteps(shadow) }
  if (ab) return { strategy: 'ab', steps: abSteps(ab) }
  if (recreate) return { strategy: 'recreate', steps: recreateSteps(recreate) }
  throw new Error('a rollout without a strategy') // the schema lets none through
}
