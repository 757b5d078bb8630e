import { DURATION_BOUNDS } from '../../contract/metrics.ts'
import type { Counts, HistogramDelta } from '../messages.ts'
import { seriesOf } from '../series.ts'

/** What a worker counts between two pushes. Handles are resolved once, so that counting is an addition. */
export interface Counters {
  counter(name: string, labels: Readonly<Record<string, string | number>>): Counter
  histogram(name: string, labels: Readonly<Record<string, string | number>>): Histogram
  /** What was counted since the last call. */
  take(): Counts
}

export interface Counter {
  add(amount?: number): void
}

export interface Histogram {
  observe(seconds: number): void
  /** Upper bound of the bucket in which the quantile of all observations so far lies; undefined below `minSamples`. */
  quantile(q: number, minSamples: number): number | undefined
}

export function createCounters(): Counters {
  let dirtyCounters: PendingCounter[] = []
  const dirtyHistograms = new Map<string, HistogramState>()
  return {
    counter: (name, labels) =>
      new PendingCounter(seriesOf(name, labels), counter => dirtyCounters.push(counter)),
    histogram(name, labels) {
      const state = newHistogram(seriesOf(name, labels))
      return {
        observe(seconds) {
          const index = bucketIndex(seconds)
          state.fresh[index] = (state.fresh[index] ?? 0) + 1
          state.seen[index] = (state.seen[index] ?? 0) + 1
          state.total++
          state.sum += seconds
          dirtyHistograms.set(state.series, state)
        },
        quantile: (q, minSamples) => (state.total < minSamples ? undefined : quantileOf(state, q)),
      }
    },
    take() {
      const counters = dirtyCounters.map(counter => counter.take())
      const histograms = [...dirtyHistograms.values()].map(takeHistogram)
      dirtyCounters = []
      dirtyHistograms.clear()
      return { counters, histograms }
    },
  }
}

class PendingCounter implements Counter {
  readonly #series: string
  readonly #onDirty: (counter: PendingCounter) => void
  #amount = 0
  #dirty = false

  constructor(series: string, onDirty: (counter: PendingCounter) => void) {
    this.#series = series
    this.#onDirty = onDirty
  }

  add(amount = 1): void {
    this.#amount += amount
    if (this.#dirty) return
    this.#dirty = true
    this.#onDirty(this)
  }

  take(): readonly [series: string, delta: number] {
    const amount = this.#amount
    this.#amount = 0
    this.#dirty = false
    return [this.#series, amount]
  }
}

interface HistogramState {
  readonly series: string
  /** Since the last push, and since the start; one bucket more than bounds, for +Inf. */
  readonly fresh: Float64Array
  readonly seen: Float64Array
  total: number
  sum: number
}

function newHistogram(series: string): HistogramState {
  const buckets = DURATION_BOUNDS.length + 1
  return { series, fresh: new Float64Array(buckets), seen: new Float64Array(buckets), total: 0, sum: 0 }
}

function takeHistogram(state: HistogramState): HistogramDelta {
  const buckets: [number, number][] = []
  for (const [index, count] of state.fresh.entries()) if (count > 0) buckets.push([index, count])
  const { series, sum } = state
  state.fresh.fill(0)
  state.sum = 0
  return { series, sum, buckets }
}

function quantileOf({ seen, total }: HistogramState, q: number): number | undefined {
  let below = 0
  for (const [index, count] of seen.entries()) {
    below += count
    if (below >= q * total) return DURATION_BOUNDS[index]
  }
  return undefined
}

/** The first bound at or above the time. Binary search: the bounds are rounded, so a logarithm would miss at the edges. */
function bucketIndex(seconds: number): number {
  let low = 0
  let high = DURATION_BOUNDS.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((DURATION_BOUNDS[middle] ?? Infinity) >= seconds) high = middle
    else low = middle + 1
  }
  return low
}
