import type { Series } from '../../contract/history.ts'
import { sameBounds, type Histogram, type Tally } from './tally.ts'

/** Tells how much a series grew since it was last seen; undefined at its first sample, which is a baseline only. */
export function createCounters(): (series: Series) => Tally | undefined {
  const seen = new Map<string, Reading>()
  return series => {
    const key = `${series.variant} ${series.id}` // a variant's name has no space
    const now = read(series)
    const before = seen.get(key)
    seen.set(key, now)
    return before && sameLayout(before, now) ? toTally(now, increments(before, now)) : undefined
  }
}

/** A series' counters side by side: requests, failures, client errors, assigned, completed, then the buckets. */
interface Reading {
  readonly values: readonly number[]
  /** Of the buckets, in seconds, the last one Infinity; empty without a histogram. */
  readonly bounds: readonly number[]
  readonly countsClientErrors: boolean
  readonly countsAssigned: boolean
}

function read(series: Series): Reading {
  const { requests, failures, clientErrors, assigned, completed, buckets = [] } = series
  return {
    values: [
      ...[requests, failures, clientErrors, assigned, completed].map(count => count ?? 0),
      ...buckets.map(([, count]) => count ?? 0),
    ],
    bounds: buckets.map(([bound]) => (bound === '+Inf' ? Infinity : bound)),
    countsClientErrors: clientErrors !== undefined,
    countsAssigned: assigned !== undefined && completed !== undefined,
  }
}

/** Readings of another layout (other bounds after an upgrade, say) cannot be subtracted. */
function sameLayout(a: Reading, b: Reading): boolean {
  return (
    a.countsClientErrors === b.countsClientErrors &&
    a.countsAssigned === b.countsAssigned &&
    sameBounds(a.bounds, b.bounds)
  )
}

/** One counter below its last value means that the process restarted, and with it all its counters. */
function increments(before: Reading, now: Reading): readonly number[] {
  const grown = now.values.map((value, index) => value - (before.values[index] ?? 0))
  return grown.some(increment => increment < 0) ? now.values : grown
}

const HEAD = 5

function toTally(reading: Reading, values: readonly number[]): Tally {
  const [requests = 0, failures = 0, clientErrors = 0, assigned = 0, completed = 0] = values
  return {
    requests,
    failures,
    clientErrors: reading.countsClientErrors ? clientErrors : undefined,
    flow: reading.countsAssigned ? { assigned, completed } : undefined,
    durations: toHistogram(reading.bounds, values.slice(HEAD)),
  }
}

function toHistogram(bounds: readonly number[], counts: readonly number[]): Histogram | undefined {
  const total = counts.at(-1)
  if (total === undefined || bounds.at(-1) !== Infinity) return undefined
  return { bounds: bounds.slice(0, -1), counts: counts.slice(0, -1), total }
}
