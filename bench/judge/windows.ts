import { BOUNDS, type Handled, type Interval } from './traffic.ts'

/** Gathers intervals into windows of a fixed length; says one when it is complete. */
export function createWindows(seconds: number): (interval: Interval) => Interval | undefined {
  let open: Interval | undefined
  return interval => {
    open = open ? join(open, interval) : interval
    if (open.seconds < seconds) return undefined
    const complete = open
    open = undefined
    return complete
  }
}

function join(a: Interval, b: Interval): Interval {
  return {
    t: b.t,
    seconds: a.seconds + b.seconds,
    weightPercent: b.weightPercent,
    stable: sum(a.stable, b.stable),
    candidate: sum(a.candidate, b.candidate),
    baseline: sum(a.baseline, b.baseline),
  }
}

function sum(a: Handled, b: Handled): Handled {
  return {
    requests: a.requests + b.requests,
    failures: a.failures + b.failures,
    within: a.within.map((count, k) => count + (b.within[k] ?? 0)),
  }
}

/** Interpolated within a bucket, as Prometheus' histogram_quantile does. Seconds; NaN without requests. */
export function quantile({ requests, within }: Handled, share: number): number {
  const rank = share * requests
  const k = within.findIndex(count => count >= rank)
  if (requests === 0) return Number.NaN
  const [bound, count] = [BOUNDS[k], within[k]]
  if (bound === undefined || count === undefined) return BOUNDS.at(-1) ?? Number.NaN
  const [lower = 0, below = 0] = [BOUNDS[k - 1], within[k - 1]]
  return count === below ? bound : lower + ((bound - lower) * (rank - below)) / (count - below)
}
