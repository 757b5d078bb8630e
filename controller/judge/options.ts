import type { Metric } from '../../contract/rollout.ts'
import type { Rung } from './ladder.ts'

/** What a rollout promises, as the judge needs it. */
export interface JudgeOptions {
  /** The chance, over all looks, metrics and steps, that a healthy candidate is withdrawn. */
  readonly alpha: number
  readonly settleSeconds: number
  /** Looks that fit before the deadline; sets how evidence is spread over harm that starts late. */
  readonly maxPolls: number
  readonly failureToleranceRatio: number
  readonly latencyToleranceRatio: number
  /** Requests that come within this time of each other may be late together; 0: each by itself. */
  readonly latencyBurstSeconds: number
  /** The least share of successes, if one was asked for. */
  readonly successAtLeast: number | undefined
  readonly latencyObjective: LatencyObjective | undefined
  readonly ladder: readonly Rung[]
  readonly riskBudget: number
  readonly advance: 'evidence' | 'time'
  readonly minRequests: number
  /** Predicting other classes than what it is compared with keeps the candidate from more traffic. */
  readonly holdsOnDrift: boolean
  /** The team's own. */
  readonly metrics: readonly Metric[]
  /** The variant that the candidate is compared with. */
  readonly comparator: 'stable' | 'baseline'
}

export interface LatencyObjective {
  readonly quantile: number
  readonly atMostSeconds: number
}

/** What a recorded history, or the controller, knows better than the rollout's file. */
export interface JudgeTiming {
  readonly settleSeconds?: number | undefined
  readonly intervalSeconds?: number | undefined
  readonly deadlineSeconds?: number | undefined
  /** Of stable, where they are replaced one by one. */
  readonly processes?: number | undefined
  /** Null: there is no version to compare with; otherwise the strategy says which. */
  readonly comparator?: null | undefined
}
