import type { Look } from '../../contract/history.ts'
import { BOUNDS, type Handled, type Interval } from './traffic.ts'

/** Counts intervals up to the looks that a controller would take at their ends; the first look is before any traffic. */
export function createLooks(): { first(weightPercent: number): Look; next(interval: Interval): Look } {
  const counted = { stable: zero(), candidate: zero() }
  const lookAt = (t: number, weightPercent: number): Look => {
    const candidate = Math.round(weightPercent * 100)
    return {
      t,
      weights: { stable: 10_000 - candidate, candidate },
      series: VARIANTS.map(variant => toSeries(variant, counted[variant])),
    }
  }
  return {
    first: weightPercent => lookAt(0, weightPercent),
    next(interval) {
      for (const variant of VARIANTS) add(counted[variant], interval[variant])
      return lookAt(interval.t, interval.weightPercent)
    },
  }
}

const VARIANTS = ['stable', 'candidate'] as const

interface Counted {
  requests: number
  failures: number
  readonly within: number[]
}

function zero(): Counted {
  return { requests: 0, failures: 0, within: BOUNDS.map(() => 0) }
}

function add(counted: Counted, handled: Handled): void {
  counted.requests += handled.requests
  counted.failures += handled.failures
  for (const [k, count] of handled.within.entries()) counted.within[k] = (counted.within[k] ?? 0) + count
}

function toSeries(variant: string, { requests, failures, within }: Counted): Look['series'][number] {
  const buckets = BOUNDS.map((bound, k): [number | '+Inf', number] => [bound, within[k] ?? 0])
  return { id: 'gw-0', variant, requests, failures, buckets: [...buckets, ['+Inf', requests]] }
}
