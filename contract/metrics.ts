// The names under which the gateway counts. Others read them: the controller, Prometheus rules, dashboards.

/** Every attempt has one kind. The judge reads `split` (by weight or sticky key) only. */
export type AttemptKind = 'split' | 'override' | 'retry' | 'fallback' | 'hedge' | 'mirror'
/** As the variant itself did; `dropped`: given up by the client or by us, and nobody's failure. */
export type Outcome = 'success' | 'client_error' | 'failure' | 'dropped'

export interface MetricFamily {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
}

export const METRICS = {
  weir_requests_total: { type: 'counter', help: 'Attempts at a variant, by kind, outcome and reason.' },
  weir_request_duration_seconds: {
    type: 'histogram',
    help: 'Time of attempts of kind split, failures and time-outs included.',
  },
  weir_responses_total: { type: 'counter', help: 'Answers as clients saw them, by status code.' },
  weir_assigned_total: { type: 'counter', help: 'Requests assigned to a variant by weight or sticky key.' },
  weir_comparisons_total: { type: 'counter', help: 'Live answers compared with mirrored ones, by result.' },
  weir_comparison_confidence_difference_sum: {
    type: 'counter',
    help: 'Sum of absolute differences in confidence between live and mirrored answers.',
  },
  weir_comparison_top_k_overlap_sum: {
    type: 'counter',
    help: 'Sum of the shares of top-k labels that live and mirrored answers have in common.',
  },
  weir_comparison_latency_difference_seconds_sum: {
    type: 'counter',
    help: 'Sum of the seconds by which mirrored answers took longer than live ones, never below 0.',
  },
  weir_mirror_total: { type: 'counter', help: 'Copies for the mirror, by result: sent, or why not.' },
  weir_unprotected_total: {
    type: 'counter',
    help: 'Requests that could not fall back although the route falls back, by reason.',
  },
  weir_retry_budget_exhausted_total: {
    type: 'counter',
    help: 'Retries not made because the budget was spent.',
  },
  weir_predictions_total: { type: 'counter', help: 'Predictions answered, by label.' },
  weir_feedback_total: { type: 'counter', help: 'True labels reported, by the epoch of the assignment.' },
  weir_outcomes_total: { type: 'counter', help: 'Named outcomes reported, by the epoch of the assignment.' },
  weir_outcome_value_sum: { type: 'gauge', help: 'Sum of the values of named outcomes.' },
  weir_trace_spans_total: {
    type: 'counter',
    help: 'Spans for the trace collector, by result: exported, failed, dropped (the queue was full).',
  },
  weir_weight_ratio: { type: 'gauge', help: 'Share of requests that the policy gives a variant, 0 to 1.' },
  weir_policy_version: { type: 'gauge', help: 'Policy version that a worker applies.' },
  weir_endpoint_up: { type: 'gauge', help: '1 when the endpoint takes requests, 0 when it is out.' },
  weir_workers: { type: 'gauge', help: 'Worker processes that take requests.' },
  weir_worker_restarts_total: {
    type: 'counter',
    help: 'Workers replaced because they died or did not acknowledge.',
  },
  weir_policy_store_healthy: {
    type: 'gauge',
    help: '0 when the policy file is damaged, gone or cannot be written.',
  },
} as const satisfies Record<string, MetricFamily>
export type MetricName = keyof typeof METRICS

/** Upper bounds of weir_request_duration_seconds in seconds: 5 ms x 1.1^k. Fixed, so that counts can be added up. */
export const DURATION_BOUNDS: readonly number[] = Array.from({ length: 81 }, (_, k) =>
  Number((0.005 * 1.1 ** k).toPrecision(6)),
)

/** Epochs of feedback and outcomes that are kept per route. */
export const KEPT_EPOCHS = 8
/** Labels counted per variant; the rest is counted as "other". */
export const MAX_LABELS = 200
