import type { Look } from '../../contract/history.ts'
import { isCounted } from './blocks.ts'
import { createCounters } from './counters.ts'
import { sumTallies, type Tally } from './tally.ts'

/** How much a route has to do of late. */
export interface Traffic {
  /** All variants together. */
  readonly requestsPerSecond: number
  /** What stable did meanwhile. */
  readonly stable: Tally
}

/** A baseline is of stable's version, and takes its requests from it. */
const STABLE: readonly string[] = ['stable', 'baseline']

/** Older traffic says little about what is to come. */
const WINDOW_SECONDS = 60
/** From less than this no rate is told: one burst would be taken for the rate. */
const ENOUGH_SECONDS = 5

interface Interval {
  readonly t: number
  readonly seconds: number
  readonly requests: number
  readonly stable: Tally
}

/** Learns from looks how much traffic a route has; looks without counts are as if they had not been. */
export function createTrafficMeter() {
  const grownBy = createCounters()
  let lastT: number | undefined
  let recent: Interval[] = []
  return {
    step({ t, series }: Pick<Look, 't' | 'series'>): void {
      const known = series.filter(isCounted)
      if (known.length === 0) return
      const grown = known.map(one => ({ variant: one.variant, tally: grownBy(one) }))
      const tallies = (variants?: readonly string[]) =>
        grown.flatMap(one => (one.tally && (variants?.includes(one.variant) ?? true) ? [one.tally] : []))
      if (lastT !== undefined && t > lastT) {
        const { requests } = sumTallies(tallies())
        recent.push({ t, seconds: t - lastT, requests, stable: sumTallies(tallies(STABLE)) })
        recent = recent.filter(interval => t - interval.t < WINDOW_SECONDS)
      }
      lastT = t
    },
    /** Undefined while too little was seen. */
    read(): Traffic | undefined {
      const late = newestOf(recent)
      const seconds = late.reduce((sum, interval) => sum + interval.seconds, 0)
      if (seconds < ENOUGH_SECONDS) return undefined
      const requests = late.reduce((sum, interval) => sum + interval.requests, 0)
      return {
        requestsPerSecond: requests / seconds,
        stable: sumTallies(late.map(({ stable }) => stable).filter(stable => stable.requests > 0)),
      }
    },
  }
}

/**
 * The newest that fill the window. One that does not fit into it, such as from before the controller was away to after it, tells only
 * where the newer ones do not tell enough.
 */
function newestOf(intervals: readonly Interval[]): readonly Interval[] {
  const newest: Interval[] = []
  let seconds = 0
  for (const interval of intervals.toReversed()) {
    if (seconds >= ENOUGH_SECONDS && seconds + interval.seconds > WINDOW_SECONDS) break
    newest.push(interval)
    seconds += interval.seconds
  }
  return newest
}
