import { exposureShare, type Counts } from './e-value.ts'

/** One usable block of one metric. */
export interface MetricBlock {
  readonly counts: Counts
  /** When the block ended, seconds. */
  readonly t: number
  /** How long the block was. */
  readonly seconds: number
  /** How often the weights had changed before it. */
  readonly weightsEpoch: number
}

/** Returns phi >= 1 for a block, from the blocks before it alone, and then learns from it. */
export type Temper = (block: MetricBlock) => number

/**
 * Two healthy variants differ by more than Bernoulli noise: caches warm up, a replica has a bad minute. Each process
 * divides its log e-values by a phi that is known before the block (so Jensen keeps it valid), estimated from how much
 * the log rate ratio moves between consecutive minutes beyond what counting explains.
 * `r` is the process' tolerance ratio.
 */
export function createTemper(r: number): Temper {
  const variation = createVariation()
  const past = { xs: 0, ns: 0 }
  let minute: Minute | undefined
  let minuteCompleted = false

  return ({ counts, t, seconds }) => {
    const number = Math.floor(t / 60)
    if (minute && number !== minute.number) {
      variation.learn(minute)
      minuteCompleted = true
      minute = undefined
    }
    const rate = (past.xs + 0.5) / (past.ns + 1)
    const events = (rate * counts.nc * 60) / seconds
    const phi = minuteCompleted ? 1 + variation.sigma2() * events * (1 - exposureShare(counts, r)) : 1
    minute = addTo(minute ?? { number, xc: 0, nc: 0, xs: 0, ns: 0 }, counts)
    past.xs += counts.xs
    past.ns += counts.ns
    return Math.max(1, phi)
  }
}

interface Minute extends Counts {
  readonly number: number
}

function addTo(minute: Minute, { xc, nc, xs, ns }: Counts): Minute {
  return {
    number: minute.number,
    xc: minute.xc + xc,
    nc: minute.nc + nc,
    xs: minute.xs + xs,
    ns: minute.ns + ns,
  }
}

/** Fewer events than this in a minute say nothing about its rate. */
const MIN_EVENTS = 3
const SIGMA2_FLOOR = 0.01

/** The variance per minute of the log rate ratio beyond counting noise, from pairs of consecutive minutes. */
function createVariation(): { learn(minute: Minute): void; sigma2(): number } {
  let last: { readonly number: number; readonly y: number; readonly v: number } | undefined
  let excess = 0
  let precision = 0
  return {
    learn(minute) {
      if (minute.xc < MIN_EVENTS || minute.xs < MIN_EVENTS) return
      const next = { number: minute.number, ...logRateRatio(minute) }
      if (last && last.number === next.number - 1) {
        const variance = next.v + last.v
        excess += ((next.y - last.y) ** 2 - variance) / variance
        precision += 1 / variance
      }
      last = next
    },
    sigma2: () => (precision > 0 ? Math.max(SIGMA2_FLOOR, excess / (2 * precision)) : SIGMA2_FLOOR),
  }
}

function logRateRatio({ xc, nc, xs, ns }: Counts): { readonly y: number; readonly v: number } {
  const y = Math.log((xc + 0.5) / nc) - Math.log((xs + 0.5) / ns)
  return { y, v: 1 / (xc + 0.5) + 1 / (xs + 0.5) }
}
