import type { Block } from '../evidence/blocks.ts'
import { sameBounds, type Histogram } from '../evidence/tally.ts'
import { createTilts, HARM, logMean, type Counts } from './e-value.ts'
import { createHarm, type Harm, type RestartMass } from './harm.ts'

export interface LatencyOptions {
  readonly toleranceRatio: number
  readonly restartMass: RestartMass
}

export interface Latency {
  step(block: Block): void
  /** Log e-value against "the candidate is at most toleranceRatio times as slow as stable". */
  logValue(): number
  /** Some bounds are too far apart for the tolerance to apply. */
  isCoarse(): boolean
}

/**
 * Latency harm: for each pair of bounds the event is "slower than it", stable's at T and the candidate's at
 * toleranceRatio * T. The pairs are dependent; the mean of e-values is an e-value all the same (Wang, arXiv 2409.19888).
 */
export function createLatency({ toleranceRatio, restartMass }: LatencyOptions): Latency {
  const tilts = createTilts(HARM)
  let bounds: readonly number[] | undefined
  let tracks: readonly Track[] = []
  let value = 0

  function begin(first: readonly number[]) {
    bounds = first
    tracks = pairBounds(first, toleranceRatio).map(pair => {
      return { pair, harm: createHarm({ toleranceRatio: 1, restartMass, tilts }) }
    })
  }

  return {
    step({ candidate, comparator, t, seconds, weightsEpoch }) {
      const [slow, reference] = [candidate.durations, comparator.durations]
      if (!slow || !reference || slow.total === 0 || reference.total === 0) return
      if (!bounds) begin(slow.bounds)
      if (tracks.length === 0 || !isBounded(bounds, slow, reference)) return
      for (const track of tracks)
        track.harm.step({ counts: slowerThan(slow, reference, track.pair), t, seconds, weightsEpoch })
      value = logMean(tracks.map(track => track.harm.logValue()))
    },
    logValue: () => value,
    isCoarse: () => tracks.some(({ pair }) => pair.comparator === pair.candidate),
  }
}

interface Track {
  readonly pair: BoundPair
  readonly harm: Harm
}

/** Indexes into the bounds. */
export interface BoundPair {
  readonly comparator: number
  readonly candidate: number
}

/** Bounds are written with a few digits, so 5 ms * 1.1^k is met to this relative precision. */
const BOUND_PRECISION = 1e-4
/** Bounds further apart than this would turn a tolerance of a tenth into one of a quarter or more. */
const COARSE_RATIO = 1.25

/** Which bounds are compared. A bound without a partner is left out; where bounds are coarse each is its own partner. */
export function pairBounds(bounds: readonly number[], toleranceRatio: number): readonly BoundPair[] {
  return bounds.flatMap((bound, index) => {
    const candidate = isCoarseAt(bounds, index) ? index : firstBoundAtLeast(bounds, toleranceRatio * bound)
    return candidate < 0 ? [] : [{ comparator: index, candidate }]
  })
}

/** Whether the next bound is too far away, for the last bound the one before it. */
function isCoarseAt(bounds: readonly number[], index: number): boolean {
  const lower = Math.min(index, bounds.length - 2)
  const [bound = 0, next = 0] = bounds.slice(Math.max(0, lower), lower + 2)
  return next > bound * COARSE_RATIO * (1 + BOUND_PRECISION)
}

/** Index of the smallest bound at or above `seconds`, -1 when there is none. */
export function firstBoundAtLeast(bounds: readonly number[], seconds: number): number {
  return bounds.findIndex(bound => bound >= seconds * (1 - BOUND_PRECISION))
}

function isBounded(bounds: readonly number[] | undefined, ...histograms: readonly Histogram[]): boolean {
  return bounds !== undefined && histograms.every(histogram => sameBounds(bounds, histogram.bounds))
}

function slowerThan(candidate: Histogram, comparator: Histogram, pair: BoundPair): Counts {
  return {
    xc: candidate.total - (candidate.counts[pair.candidate] ?? candidate.total),
    nc: candidate.total,
    xs: comparator.total - (comparator.counts[pair.comparator] ?? comparator.total),
    ns: comparator.total,
  }
}
