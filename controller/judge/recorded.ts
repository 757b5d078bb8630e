import { sumTallies, type Histogram, type Tally } from '../evidence/tally.ts'
import { createAbsolute, type Absolute } from './absolute.ts'
import { firstBoundAtLeast } from './latency.ts'
import type { JudgeOptions } from './options.ts'

export interface Recorded {
  /** What stable did while it still had the traffic. */
  learn(stable: Tally): void
  /** What the candidate does now. From the first of these on the record is closed. */
  step(candidate: Tally): void
  /** Log e-values against "no worse than stable was"; absent where there is too little on record. */
  logValues(): { readonly failure?: number; readonly latency?: number }
  /** Requests of stable on record. */
  requests(): number
}

/** Fewer say too little of what is normal. */
export const MIN_RECORDED_REQUESTS = 100
/** The share of stable's requests that the latency limit leaves above itself: its 95 % quantile. */
const SLOW_SHARE = 0.05
/** One-sided 99.87 %: the limit is below stable's true rate no more often than that. */
const Z = 3

/**
 * Compares with the past, where nothing is left to compare with at the same time: the limits are the upper ends of what stable's
 * record allows, widened by the tolerances. What changed for everybody since then counts against the candidate.
 */
export function createRecorded(options: JudgeOptions): Recorded {
  let record: Tally | undefined
  let limits: Limits | undefined
  return {
    learn(stable) {
      if (limits === undefined) record = record ? sumTallies([record, stable]) : stable
    },
    step({ failures, requests, durations }) {
      limits ??= limitsFrom(record, options)
      if (failures !== undefined) limits.failure?.step(failures, requests)
      if (durations && limits.latency) {
        const { boundSeconds, track } = limits.latency
        const slow = slowerThan(durations, boundSeconds)
        if (slow !== undefined) track.step(slow, durations.total)
      }
    },
    logValues: () => ({
      ...(limits?.failure && { failure: limits.failure.logValue() }),
      ...(limits?.latency && { latency: limits.latency.track.logValue() }),
    }),
    requests: () => record?.requests ?? 0,
  }
}

interface Limits {
  readonly failure: Absolute | undefined
  readonly latency: { readonly boundSeconds: number; readonly track: Absolute } | undefined
}

function limitsFrom(record: Tally | undefined, options: JudgeOptions): Limits {
  if (record === undefined || record.requests < MIN_RECORDED_REQUESTS)
    return { failure: undefined, latency: undefined }
  const { failures, requests, durations } = record
  const { failureToleranceRatio: tolerance } = options
  return {
    failure: failures === undefined ? undefined : createAbsolute(tolerance * upperEnd(failures, requests)),
    latency: durations && latencyLimit(durations, options.latencyToleranceRatio),
  }
}

function latencyLimit(durations: Histogram, tolerance: number): Limits['latency'] {
  const { bounds, counts, total } = durations
  const usual = bounds.find((_, index) => total - (counts[index] ?? 0) <= SLOW_SHARE * total)
  if (usual === undefined) return undefined
  const boundSeconds = bounds[firstBoundAtLeast(bounds, usual * tolerance)]
  const slow = slowerThan(durations, usual)
  if (boundSeconds === undefined || slow === undefined) return undefined
  return { boundSeconds, track: createAbsolute(upperEnd(slow, total)) }
}

function slowerThan({ bounds, counts, total }: Histogram, boundSeconds: number): number | undefined {
  const within = counts[bounds.indexOf(boundSeconds)]
  return within === undefined ? undefined : total - within
}

/** Upper end of Wilson's score interval for a rate. */
function upperEnd(events: number, requests: number): number {
  const rate = events / requests
  const spread = Z * Math.sqrt((rate * (1 - rate)) / requests + Z ** 2 / (4 * requests ** 2))
  return (rate + Z ** 2 / (2 * requests) + spread) / (1 + Z ** 2 / requests)
}
