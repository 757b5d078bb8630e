import { DURATION_BOUNDS } from '../../contract/metrics.ts'
import type { Random } from './random.ts'

/** What the world is like at one moment. */
interface Conditions {
  /** Failure rates. */
  readonly stable: number
  readonly candidate: number
  /** Of the candidate's median latency to stable's. */
  readonly latencyRatio?: number
  /** Of the traffic to its mean. */
  readonly traffic?: number
}

export interface Scenario {
  readonly requestsPerSecond: number
  readonly at: (t: number) => Conditions
}

/** What one variant did between two looks. */
export interface Handled {
  readonly requests: number
  readonly failures: number
  /** Requests at or below each of BOUNDS. */
  readonly within: readonly number[]
}

/** The time between two looks. */
export interface Interval {
  /** Its end, seconds. */
  readonly t: number
  readonly seconds: number
  readonly weightPercent: number
  readonly stable: Handled
  readonly candidate: Handled
  /** Stable's version at the candidate's size, for those that compare with one. */
  readonly baseline: Handled
}

/** The gateway's, seconds. */
export const BOUNDS = DURATION_BOUNDS
const MEDIAN_SECONDS = 0.06
const SIGMA = 0.5

export interface Moment {
  readonly t: number
  readonly seconds: number
  readonly weightPercent: number
}

/** Requests come at random (Poisson), fail at random, and take lognormal times. */
export function handle(scenario: Scenario, random: Random, moment: Moment): Interval {
  const { stable, candidate, latencyRatio = 1, traffic = 1 } = scenario.at(moment.t - moment.seconds)
  const requests = scenario.requestsPerSecond * moment.seconds * traffic
  const share = moment.weightPercent / 100
  return {
    ...moment,
    stable: draw(random, { mean: requests * (1 - share), failureRate: stable, latencyRatio: 1 }),
    candidate: draw(random, { mean: requests * share, failureRate: candidate, latencyRatio }),
    baseline: draw(random, { mean: requests * share, failureRate: stable, latencyRatio: 1 }),
  }
}

interface Expected {
  readonly mean: number
  readonly failureRate: number
  readonly latencyRatio: number
}

function draw(random: Random, { mean, failureRate, latencyRatio }: Expected): Handled {
  const requests = random.poisson(mean)
  const failures = random.binomial(requests, failureRate)
  return { requests, failures, within: drawWithin(random, requests, cellsAt(latencyRatio)) }
}

/** For each bound the probability that a request is within it, given that it is not within the one before. */
function cellsAt(latencyRatio: number): readonly number[] {
  const known = cellsByRatio.get(latencyRatio)
  if (known) return known
  let before = 0
  const cells = BOUNDS.map(bound => {
    const within = normalCdf(Math.log(bound / (MEDIAN_SECONDS * latencyRatio)) / SIGMA)
    const cell = before < 1 ? (within - before) / (1 - before) : 1
    before = within
    return cell
  })
  cellsByRatio.set(latencyRatio, cells)
  return cells
}

const cellsByRatio = new Map<number, readonly number[]>()

function drawWithin(random: Random, requests: number, cells: readonly number[]): readonly number[] {
  let within = 0
  return cells.map(cell => {
    if (within < requests) within += random.binomial(requests - within, cell)
    return within
  })
}

/** Abramowitz & Stegun 26.2.17, to 7.5e-8. */
export function normalCdf(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z))
  const tail =
    0.3989422804014327 *
    Math.exp((-z * z) / 2) *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  return z > 0 ? 1 - tail : tail
}
