import { MAX_LABELS, type AttemptKind, type Outcome } from '../../contract/metrics.ts'
import type { Counter, Counters, Histogram } from './counters.ts'

/** What is counted for one variant of one route. */
export interface VariantCounts {
  assigned(): void
  attempt(kind: AttemptKind, outcome: Outcome, reason: string): void
  readonly duration: Histogram
  predicted(label: string): void
  mirrored(result: string): void
  compared(result: string): void
  comparedBy(difference: { confidence: number; overlap: number; latencySeconds: number }): void
  unprotected(reason: string): void
  readonly retryBudgetExhausted: Counter
}

export function createVariantCounts(counters: Counters, route: string, variant: string): VariantCounts {
  const labels = { route, variant }
  const family = (name: string, label: string, limit = Infinity) =>
    createFamily(value => counters.counter(name, { ...labels, [label]: value }), limit)
  const assigned = counters.counter('weir_assigned_total', labels)
  const attempts = new Map<AttemptKind, Map<Outcome, Map<string, Counter>>>()
  const predictions = family('weir_predictions_total', 'label', MAX_LABELS)
  const mirrored = family('weir_mirror_total', 'result')
  const compared = family('weir_comparisons_total', 'result')
  const unprotected = family('weir_unprotected_total', 'reason')
  const confidence = counters.counter('weir_comparison_confidence_difference_sum', labels)
  const overlap = counters.counter('weir_comparison_top_k_overlap_sum', labels)
  const latency = counters.counter('weir_comparison_latency_difference_seconds_sum', labels)
  return {
    assigned: () => assigned.add(),
    attempt(kind, outcome, reason) {
      const ofOutcome = known(
        known(attempts, kind, () => new Map()),
        outcome,
        () => new Map<string, Counter>(),
      )
      known(ofOutcome, reason, () =>
        counters.counter('weir_requests_total', { ...labels, kind, outcome, reason }),
      ).add()
    },
    duration: counters.histogram('weir_request_duration_seconds', labels),
    predicted: predictions,
    mirrored,
    compared,
    comparedBy(difference) {
      confidence.add(difference.confidence)
      overlap.add(difference.overlap)
      latency.add(Math.max(0, difference.latencySeconds))
    },
    unprotected,
    retryBudgetExhausted: counters.counter('weir_retry_budget_exhausted_total', labels),
  }
}

function known<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}

/** Answers as clients saw them, by status code. */
export function createResponseCounts(counters: Counters, route: string): (code: number) => void {
  const count = createFamily(code => counters.counter('weir_responses_total', { route, code }), Infinity)
  return code => count(String(code))
}

/** Counters that differ in one label; beyond `limit` values the rest is counted as "other". */
function createFamily(create: (value: string) => Counter, limit: number): (value: string) => void {
  const known = new Map<string, Counter>()
  return value => {
    let counter = known.get(value)
    if (counter === undefined) {
      const kept = known.size < limit ? value : 'other'
      counter = known.get(kept) ?? create(kept)
      known.set(kept, counter)
    }
    counter.add()
  }
}
