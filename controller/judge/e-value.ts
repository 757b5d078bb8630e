// Evidence as e-values: an e-value has expectation at most 1 while the null hypothesis holds, so products over blocks
// exceed 1/alpha at any time with probability at most alpha (Ville). Everything is in natural logarithms.

/** What one block counted. Candidate: `xc` events among `nc` requests; comparator (stable): `xs` among `ns`. */
export interface Counts {
  readonly xc: number
  readonly nc: number
  readonly xs: number
  readonly ns: number
}

/** Rate ratios that would be harm. */
export const HARM: readonly number[] = [1.25, 1.6, 2, 3, 5, 10, 30, 100]
/** Rate ratios used to bound the excess from above. */
export const NON_INFERIORITY: readonly number[] = [0.02, 0.1, 0.25, 0.45, 0.65, 0.8, 0.9, 0.96]

/**
 * Log e-value of one block. rho > 1 tests H0: pc <= r*ps + d; rho < 1 tests H0: pc >= r*ps + d. Valid for every ps:
 * E[e] <= exp(ps*(r*nc*(a-1) + ns*(b-1))) = 1 with a = rho/k, b = 1/k, since 1 + x <= exp(x).
 * Turner, Ly & Grünwald, arXiv 2106.02693 and 2302.11401; Lindon & Malek, arXiv 2011.03567.
 */
export function logE(counts: Counts, rho: number, { d = 0, r = 1 } = {}): number {
  if (!(counts.nc > 0 && counts.ns > 0)) return 0
  const { candidate, stable, excess } = tilt(rho, exposureShare(counts, r))
  return counts.xc * candidate - counts.xs * stable - excess * counts.nc * d
}

/** The candidate's share of the block's exposure: the only way in which the counts of requests enter. */
export function exposureShare({ nc, ns }: Pick<Counts, 'nc' | 'ns'>, r = 1): number {
  return (r * nc) / (r * nc + ns)
}

/** What one event of each side, and one request of margin, weigh at a rate ratio and an exposure share. */
export interface Tilt {
  /** ln a, for each candidate event. */
  readonly candidate: number
  /** ln k, against each stable event. */
  readonly stable: number
  /** a - 1, for each unit of d over the candidate's requests. */
  readonly excess: number
}

export function tilt(rho: number, share: number): Tilt {
  const k = 1 + (rho - 1) * share
  return { candidate: Math.log(rho / k), stable: Math.log(k), excess: rho / k - 1 }
}

/** The tilts of a whole grid. The last share is remembered: the eighty latency processes of a block have the same. */
export function createTilts(grid: readonly number[]): (share: number) => readonly Tilt[] {
  let last = Number.NaN
  let tilts: readonly Tilt[] = []
  return share => {
    if (share !== last) {
      last = share
      tilts = grid.map(rho => tilt(rho, share))
    }
    return tilts
  }
}

/** One-sample log e-value: `x` events among `n` against the rate p0, in favour of p1. A p1 of 1 or more counts as e = 0. */
export function logOneSample(x: number, n: number, p0: number, p1: number): number {
  if (p1 >= 1) return -Infinity
  const events = x === 0 ? 0 : x * Math.log(p1 / p0) // p1 = 0 gives -Infinity from the first event on, and 0 before it
  return events + (n - x) * Math.log((1 - p1) / (1 - p0))
}

/**
 * Log e-value that two samples over the same classes differ: `xc`, `xs` are counts per class, `tc`, `ts` the class
 * frequencies believed for each side before the block was seen. Turner, Ly & Grünwald, arXiv 2106.02693.
 */
export function kSample(
  xc: readonly number[],
  xs: readonly number[],
  believed: { readonly tc: readonly number[]; readonly ts: readonly number[] },
): number {
  const nc = sum(xc)
  const ns = sum(xs)
  if (nc + ns === 0) return 0
  let log = 0
  for (const [k, candidateCount] of xc.entries()) {
    const tc = believed.tc[k] ?? 0
    const ts = believed.ts[k] ?? 0
    const pooled = (nc * tc + ns * ts) / (nc + ns)
    log += weigh(candidateCount, tc / pooled) + weigh(xs[k] ?? 0, ts / pooled)
  }
  return log
}

function weigh(count: number, ratio: number): number {
  return count === 0 ? 0 : count * Math.log(ratio)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** ln(exp(a) + exp(b)) without overflow. */
export function logAdd(a: number, b: number): number {
  const high = Math.max(a, b)
  return high === -Infinity ? -Infinity : high + Math.log1p(Math.exp(Math.min(a, b) - high))
}

/** ln of the sum of exponentials. */
export function logSum(values: readonly number[]): number {
  let high = -Infinity
  for (const value of values) if (value > high) high = value
  if (high === -Infinity || high === Infinity) return high
  let total = 0
  for (const value of values) total += Math.exp(value - high)
  return high + Math.log(total)
}

/** ln of the mean of e-values, which is an e-value whatever their dependence: Wang, arXiv 2409.19888. */
export function logMean(values: readonly number[]): number {
  return logSum(values) - Math.log(values.length)
}
