import type { Look } from '../../contract/history.ts'
import type { MetricName } from '../../contract/metrics.ts'
import { createGrowth, type Grown } from '../evidence/growth.ts'
import { createDrift, type ClassCounts } from './drift.ts'
import type { JudgeOptions } from './options.ts'

const PREDICTIONS = 'weir_predictions_total' satisfies MetricName
export const DRIFT_COUNTERS: readonly MetricName[] = [PREDICTIONS]

/** Does the candidate predict the classes as often as what it is compared with? A reason to hold where not, none to withdraw. */
export function createDriftWatch({
  holdsOnDrift,
  comparator,
}: JudgeOptions): (look: Look) => readonly string[] {
  if (!holdsOnDrift) return () => []
  const grownBy = createGrowth()
  const drift = createDrift()
  return look => {
    const grown = grownBy(look).filter(({ name }) => name === PREDICTIONS)
    drift.step(classesOf(grown, 'candidate'), classesOf(grown, comparator))
    if (!drift.isDrifting()) return []
    const psi = drift.psi().toFixed(2)
    return [
      `the candidate predicts other classes than ${comparator}, or others more often (population stability index ${psi})`,
    ]
  }
}

function classesOf(grown: readonly Grown[], variant: string): ClassCounts {
  const counts = new Map<string, number>()
  for (const { labels, by } of grown.filter(one => one.variant === variant)) {
    const label = labels['label'] ?? ''
    counts.set(label, (counts.get(label) ?? 0) + by)
  }
  return counts
}
