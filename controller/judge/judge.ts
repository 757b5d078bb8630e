import type { Decision, History, Look } from '../../contract/history.ts'
import type { RolloutSpec } from '../../contract/rollout.ts'
import { createBlocks, type BlockOutcome } from '../evidence/blocks.ts'
import { createCustomMetrics, whyNotAdvance, type MetricStanding } from './custom-metrics.ts'
import { createDriftWatch } from './drift-watch.ts'
import type { Forecast } from './forecast.ts'
import { createGate, type Bounds, type Standings } from './gate.ts'
import { budgetFor, ladderOf, rungAbove } from './ladder.ts'
import type { JudgeOptions, JudgeTiming, LatencyObjective } from './options.ts'
import { explain } from './reason.ts'
import { createSplitWatch } from './split-watch.ts'
import { createVerdict, type HarmEvidence } from './verdict.ts'

export interface Judge {
  /** Takes the next look and decides. Deterministic: replaying the looks of a rollout gives its decisions again. */
  step(look: Look): Decision
  /** Why the candidate gets no more traffic at the last look, whatever the evidence; empty where nothing speaks against it. */
  holds(): readonly string[]
  /** Where the team's own metrics stand. That they withdraw or pause is a rule of operation, no decision of the judge's. */
  metrics(): readonly MetricStanding[]
  /** The e-value of each kind of harm by itself. */
  evidence(): HarmEvidence
  /** Upper bounds on the candidate's excess per gating metric, fractions; 1 is unknown. */
  bounds(): Bounds
  /** The last look ended a block that counts. */
  endedBlock(): boolean
  /** The last look ended a block that counts, and the evidence allows the candidate this weight. */
  allows(weightPercent: number, riskBudget: number): boolean
  /** How much more evidence this weight needs, if the candidate is as good as stable; undefined without any so far. */
  forecast(weightPercent: number, riskBudget: number): Forecast | undefined
  /** Where the gating metrics stand, to plan the way ahead. */
  standings(): Standings
}

/** Decides from counts, look by look, whether a candidate is withdrawn, held or advanced. Pure: no clock, no I/O. */
export function createJudge(options: JudgeOptions): Judge {
  const blocks = createBlocks(options)
  const verdict = createVerdict(options)
  const gate = createGate(options)
  const watchSplit = createSplitWatch(options)
  const watchDrift = createDriftWatch(options)
  const ruleOnMetrics = createCustomMetrics(options.metrics)
  let outcome: BlockOutcome = { kind: 'none', why: 'first' }
  let held: readonly string[] = []
  let metrics: readonly MetricStanding[] = []

  const allowsBudget = (budget: number) =>
    outcome.kind === 'block' && held.length === 0 && verdict.cause() === null && gate.allows(budget)

  function decide(look: Look): Decision {
    const rung = rungAbove(options.ladder, (look.weights['candidate'] ?? 0) / 100)
    const cause = verdict.cause()
    const advance = rung !== undefined && allowsBudget(rung.budget)
    const action = cause === null ? (advance ? 'advance' : 'hold') : 'withdraw'
    const decision = { t: look.t, action, cause, u: gate.upper(), ...verdict.figures() } as const
    return { ...decision, reason: explain({ decision, outcome, rung, holds: held, gate, options, verdict }) }
  }

  return {
    step(look) {
      outcome = blocks(look)
      metrics = ruleOnMetrics(look)
      held = [...watchSplit(look), ...watchDrift(look), ...metrics.flatMap(whyNotAdvance)]
      gate.enter(look)
      if (outcome.kind === 'block') {
        verdict.step(outcome.block)
        gate.step(outcome.block)
      }
      return decide(look)
    },
    holds: () => held,
    metrics: () => metrics,
    evidence: verdict.parts,
    bounds: gate.bounds,
    endedBlock: () => outcome.kind === 'block',
    allows: (weightPercent, riskBudget) => allowsBudget(budgetFor(weightPercent, riskBudget)),
    standings: gate.standings,
    forecast: (weightPercent, riskBudget) => gate.forecast(budgetFor(weightPercent, riskBudget)),
  }
}

/** The decisions of a recorded history. */
export function replay(history: History, options: JudgeOptions): Decision[] {
  const judge = createJudge(options)
  return history.looks.map(look => judge.step(look))
}

/** The gateway's default for one attempt: requests sent before a weight change may complete this much later. */
const REQUEST_TIMEOUT_SECONDS = 10
const DEFAULT_TOLERANCE_RATIO = 1.1

/** What a rollout's file promises, with what its history or its controller knows better. */
export function judgeOptions(spec: RolloutSpec, timing: JudgeTiming = {}): JudgeOptions {
  const { analysis, onDeadline, strategy } = spec
  const intervalSeconds = timing.intervalSeconds ?? analysis.interval / 1000
  const deadlineSeconds = timing.deadlineSeconds ?? onDeadline.after / 1000
  return {
    alpha: analysis.alpha,
    settleSeconds: timing.settleSeconds ?? settleOf(analysis.settle, intervalSeconds),
    maxPolls: Math.max(1, deadlineSeconds / intervalSeconds),
    failureToleranceRatio: analysis.successRate?.toleranceRatio ?? DEFAULT_TOLERANCE_RATIO,
    latencyToleranceRatio: analysis.latency?.toleranceRatio ?? DEFAULT_TOLERANCE_RATIO,
    latencyBurstSeconds: (analysis.latency?.burst ?? 0) / 1000,
    successAtLeast: analysis.successRate?.atLeast,
    latencyObjective: objectiveOf(analysis.latency),
    ladder: ladderOf(strategy.canary?.steps ?? [], analysis.riskBudget, timing.processes),
    riskBudget: analysis.riskBudget,
    advance: analysis.advance,
    minRequests: analysis.minRequests,
    holdsOnDrift: analysis.drift === 'hold',
    metrics: analysis.metrics,
    comparator: strategy.canary?.baseline ? 'baseline' : 'stable',
  }
}

function settleOf(settleMs: number | undefined, intervalSeconds: number): number {
  return settleMs === undefined ? REQUEST_TIMEOUT_SECONDS + intervalSeconds : settleMs / 1000
}

function objectiveOf(latency: RolloutSpec['analysis']['latency']): LatencyObjective | undefined {
  if (latency?.atMostMs === undefined) return undefined
  return { quantile: latency.quantile, atMostSeconds: latency.atMostMs / 1000 }
}
