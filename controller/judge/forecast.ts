import { exposureShare, logSum, NON_INFERIORITY, tilt } from './e-value.ts'
import type { MetricBlock } from './temper.ts'

/** What it takes until an excess is ruled out. Infinity where this traffic can never show it. */
export interface Forecast {
  readonly candidateRequests: number
  readonly seconds: number
}

/** Evidence of one rate ratio that the excess is below d: `log + slope * d`. */
export interface Line {
  readonly log: number
  readonly slope: number
}

/** Where a bound stands: how far its evidence has come, and by what it is discounted at present. */
export interface Standing {
  readonly lines: readonly Line[]
  readonly target: number
  readonly phi: number
}

/** No rollout sees more requests than this. */
const MAX_REQUESTS = 1e12

/** Learns how fast evidence comes in, to say how long it will take. */
export function createPace() {
  let recent = { epoch: 0, seconds: 0, nc: 0, ns: 0, phi: 1 }
  const past = { xs: 0, ns: 0 }
  return {
    learn({ counts, seconds, weightsEpoch: epoch }: MetricBlock, phi: number): void {
      const since = recent.epoch === epoch ? recent : { seconds: 0, nc: 0, ns: 0 }
      const exposure = { nc: since.nc + counts.nc, ns: since.ns + counts.ns }
      recent = { epoch, seconds: since.seconds + seconds, ...exposure, phi }
      past.xs += counts.xs
      past.ns += counts.ns
    },
    phi: () => recent.phi,
    forecast(standing: Standing, budget: number): Forecast | undefined {
      if (recent.nc === 0) return undefined
      const rate = (past.xs + 0.5) / (past.ns + 1)
      const perRequest = expectedLines(exposureShare(recent), rate, recent.phi)
      const candidateRequests = requestsNeeded(standing, perRequest, budget)
      return { candidateRequests, seconds: (candidateRequests * recent.seconds) / recent.nc }
    },
  }
}

/** What one candidate request, and the stable ones that come with it, add to each line when both fail at `rate`. */
export function expectedLines(share: number, rate: number, phi: number): readonly Line[] {
  return NON_INFERIORITY.map(rho => {
    const { candidate, stable, excess } = tilt(rho, share)
    return { log: (rate * (candidate - (stable * (1 - share)) / share)) / phi, slope: -excess / phi }
  })
}

/**
 * Candidate requests until an excess of `budget` is ruled out. The log-sum at the budget is convex in their number and below
 * the target now: it crosses it at most once.
 */
export function requestsNeeded(
  { lines, target }: Standing,
  perRequest: readonly Line[],
  budget: number,
): number {
  const at = (line: Line | undefined) => (line ? line.log + line.slope * budget : 0)
  const reaches = (requests: number) =>
    logSum(lines.map((line, k) => at(line) + requests * at(perRequest[k]))) >= target
  if (reaches(0)) return 0
  let high = 1
  while (!reaches(high)) {
    high *= 2
    if (high > MAX_REQUESTS) return Infinity
  }
  let low = high / 2
  while (high - low > 0.5) {
    const middle = (low + high) / 2
    if (reaches(middle)) high = middle
    else low = middle
  }
  return Math.ceil(high)
}
