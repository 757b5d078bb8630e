/** Durations: requests at or below each bound, and all of them. */
export interface Histogram {
  /** Finite, increasing, in seconds. */
  readonly bounds: readonly number[]
  readonly counts: readonly number[]
  readonly total: number
}

/** What one variant did in one block. A metric that was not counted, or not soundly, is absent. */
export interface Tally {
  readonly requests: number
  readonly failures: number | undefined
  readonly clientErrors: number | undefined
  readonly durations: Histogram | undefined
  /** What was given to the variant, and what ended; not the same requests: those under way are between. */
  readonly flow: { readonly assigned: number; readonly completed: number } | undefined
}

/** The increments of a variant's series as one; a metric is absent where any of them lacks it or it makes no sense. */
export function sumTallies(tallies: readonly Tally[]): Tally {
  const requests = tallies.reduce((sum, tally) => sum + tally.requests, 0)
  return {
    requests,
    failures: eventsOf(tallies, 'failures', requests),
    clientErrors: eventsOf(tallies, 'clientErrors', requests),
    durations: sumHistograms(tallies),
    flow: sumFlows(tallies),
  }
}

function eventsOf(
  tallies: readonly Tally[],
  kind: 'failures' | 'clientErrors',
  requests: number,
): number | undefined {
  let sum = 0
  for (const tally of tallies) {
    const events = tally[kind]
    if (events === undefined) return undefined
    sum += events
  }
  return sum <= requests ? sum : undefined
}

function sumFlows(tallies: readonly Tally[]): Tally['flow'] {
  const sum = { assigned: 0, completed: 0 }
  for (const { flow } of tallies) {
    if (flow === undefined) return undefined
    sum.assigned += flow.assigned
    sum.completed += flow.completed
  }
  return sum
}

function sumHistograms(tallies: readonly Tally[]): Histogram | undefined {
  let sum: Histogram | undefined
  for (const { durations } of tallies) {
    if (!durations || (sum && !sameBounds(sum.bounds, durations.bounds))) return undefined
    sum = sum ? add(sum, durations) : durations
  }
  return sum && isMonotone(sum) ? sum : undefined
}

function add(a: Histogram, b: Histogram): Histogram {
  return {
    bounds: a.bounds,
    counts: a.counts.map((count, index) => count + (b.counts[index] ?? 0)),
    total: a.total + b.total,
  }
}

export function sameBounds(a: readonly number[], b: readonly number[]): boolean {
  return a === b || (a.length === b.length && a.every((bound, index) => bound === b[index]))
}

function isMonotone({ bounds, counts, total }: Histogram): boolean {
  return isSorted(bounds) && isSorted(counts) && (counts.at(-1) ?? 0) <= total
}

function isSorted(values: readonly number[]): boolean {
  return values.every((value, index) => index === 0 || value >= (values[index - 1] ?? value))
}
