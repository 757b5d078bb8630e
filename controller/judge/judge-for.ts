import type { Decision, History } from '../../contract/history.ts'
import type { MetricName } from '../../contract/metrics.ts'
import type { RolloutSpec } from '../../contract/rollout.ts'
import { DRIFT_COUNTERS } from './drift-watch.ts'
import { createExperiment } from './experiment.ts'
import { createJudge, judgeOptions, type Judge } from './judge.ts'
import type { JudgeTiming } from './options.ts'
import { createShadow, PAIR_COUNTERS } from './shadow.ts'
import { goalCounters } from './told.ts'
import { createWatch } from './watch.ts'

/** The judge that a rollout's strategy needs. */
export function createJudgeFor(spec: RolloutSpec, timing: JudgeTiming = {}): Judge {
  const options = judgeOptions(spec, timing)
  const { blueGreen, shadow, ab, recreate } = spec.strategy
  if (shadow && timing.comparator !== null) return createShadow(options, shadow)
  if (ab && timing.comparator !== null) return createExperiment(options, ab)
  const alone = blueGreen !== undefined || recreate !== undefined || timing.comparator === null
  return alone ? createWatch(options, { windowSeconds: spec.analysis.watch / 1000 }) : createJudge(options)
}

/** What a strategy decides on beside the judge's own counters. */
export function countersFor({ strategy: { shadow, ab }, analysis }: RolloutSpec): readonly MetricName[] {
  if (ab) return goalCounters(ab.goal)
  if (shadow) return PAIR_COUNTERS
  return analysis.drift === 'hold' ? DRIFT_COUNTERS : []
}

/** The decisions of a rollout's recorded history. */
export function replayRollout(history: History, spec: RolloutSpec): Decision[] {
  const judge = createJudgeFor(spec, history)
  return history.looks.map(look => judge.step(look))
}
