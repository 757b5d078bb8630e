import type { Contender } from './contender.ts'
import type { Handled, Interval } from './traffic.ts'
import { createWindows, quantile } from './windows.ts'

export interface KayentaSettings {
  readonly metric?: keyof typeof METRICS
  /** One judgement at the end of each. */
  readonly windowSeconds?: number
  readonly pointSeconds?: number
  readonly confidence?: number
  /** The shift must exceed this part of its own Hodges-Lehmann estimate. */
  readonly tolerance?: number
}

/**
 * Kayenta's judge: a Mann-Whitney test of the points of a fixed window, failing on "High". Its metrics are the team's to
 * choose; each one more raises its false alarms, so here there is one. As it advises, the candidate is compared with a
 * baseline of its own size.
 */
export function createKayenta(settings: KayentaSettings = {}): Contender {
  const { windowSeconds = 300, pointSeconds = 60, confidence = 0.98, tolerance = 0.25 } = settings
  const { metric = 'failure rate' } = settings
  const isHigh = (candidate: readonly number[], baseline: readonly number[]) =>
    isShiftedUp({ candidate, baseline, z: Z[confidence] ?? Number.NaN, tolerance })
  return {
    name: 'Kayenta windows',
    settings: `${metric}, baseline of the candidate's size, window ${windowSeconds} s, a point each ${pointSeconds} s, confidence ${confidence}, tolerance ${tolerance}`,
    source:
      'spinnaker/kayenta MannWhitney.scala at 552aa6253b99, NetflixACAJudge.scala and MannWhitneyClassifier.scala at 39c1d8a3f062',
    start() {
      const points = createWindows(pointSeconds)
      let gathered: Pair[] = []
      return interval => {
        const point = points(interval)
        if (point) gathered.push(point)
        if (gathered.length * pointSeconds < windowSeconds) return false
        const window = gathered
        gathered = []
        return isHigh(
          valuesOf(window, 'candidate', METRICS[metric]),
          valuesOf(window, 'baseline', METRICS[metric]),
        )
      }
    },
  }
}

/** Two-sided normal quantiles of the confidence levels that its source uses. */
const Z: Readonly<Record<number, number>> = { 0.98: 2.326347874, 0.95: 1.9599639845 }

type Pair = Pick<Interval, 'candidate' | 'baseline'>
type Metric = (handled: Handled) => number
const METRICS = {
  'failure rate': ({ failures, requests }: Handled) => failures / requests,
  p95: (handled: Handled) => quantile(handled, 0.95),
} satisfies Record<string, Metric>

function valuesOf(
  window: readonly Pair[],
  variant: 'candidate' | 'baseline',
  metric: Metric,
): readonly number[] {
  return window.map(point => metric(point[variant])).filter(value => !Number.isNaN(value)) // its default: NaN removed
}

interface Shift {
  readonly candidate: readonly number[]
  readonly baseline: readonly number[]
  readonly z: number
  readonly tolerance: number
}

/** Its confidence interval is asymptotic, as in R's wilcox.test: the shifts at which the rank-sum statistic is at z. */
function isShiftedUp({ candidate, baseline, z, tolerance }: Shift): boolean {
  if (candidate.length === 0 || baseline.length === 0) return false
  if (candidate.every((value, index) => value === baseline[index])) return false
  const lower = rootOf(shift => standardized(candidate, baseline, shift) - z, candidate, baseline)
  const estimate = rootOf(shift => standardized(candidate, baseline, shift), candidate, baseline)
  return lower > tolerance * Math.abs(estimate)
}

function rootOf(f: (shift: number) => number, x: readonly number[], y: readonly number[]): number {
  let low = Math.min(...x) - Math.max(...y)
  let high = Math.max(...x) - Math.min(...y)
  if (f(low) <= 0) return low
  if (f(high) >= 0) return high
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2
    if (f(middle) > 0) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** The Wilcoxon statistic of x - shift against y, centred, corrected for continuity, over its deviation with ties. */
function standardized(x: readonly number[], y: readonly number[], shift: number): number {
  const all = [...x.map(value => value - shift), ...y]
  const centred =
    x.reduce((sum, value) => sum + rankIn(all, value - shift), 0) - (x.length * (all.length + 1)) / 2
  const ties = [...new Set(all)].map(value => all.filter(other => other === value).length)
  const tied = ties.reduce((sum, count) => sum + count ** 3 - count, 0) / (all.length * (all.length - 1))
  const variance = ((x.length * y.length) / 12) * (all.length + 1 - tied)
  return variance > 0 ? (centred - Math.sign(centred) * 0.5) / Math.sqrt(variance) : 0
}

function rankIn(all: readonly number[], value: number): number {
  const below = all.filter(other => other < value).length
  const equal = all.filter(other => other === value).length
  return below + (equal + 1) / 2
}
