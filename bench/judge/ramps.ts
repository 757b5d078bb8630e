import type { Contender } from './contender.ts'
import { createRandom, type Random } from './random.ts'
import { handle, type Scenario } from './traffic.ts'

const WEIGHTS: readonly number[] = [1, 5, 10, 25, 50, 95]
const STEP_SECONDS = 300
const LOOK_SECONDS = 5
const RAMP_SECONDS = WEIGHTS.length * STEP_SECONDS

export interface Row {
  readonly label: string
  /** What differs from ramp to ramp, such as when bursts come, is drawn here. */
  readonly scenario: (random: Random) => Scenario
  /** Seconds from the start at which the harm begins, for what was detected since. */
  readonly harmFrom?: number
}

export interface Outcome {
  /** Of the withdrawal, since the harm began; undefined where there was none. */
  readonly seconds: number | undefined
  readonly candidateRequests: number
  /** Withdrawn before there was any harm. */
  readonly early: boolean
}

export interface RunOptions {
  readonly seed: number
  readonly ramps: number
  /** Keeps the streams of random numbers of different rows apart. */
  readonly row: number
}

/** Runs the same ramps past every contender; a ramp climbs by the clock, whatever they think of it. */
export function runRamps(row: Row, contenders: readonly Contender[], options: RunOptions): Outcome[][] {
  const outcomes = contenders.map((): Outcome[] => [])
  for (let ramp = 0; ramp < options.ramps; ramp++) {
    const random = createRandom(options.seed, options.row * 1_000_000 + ramp)
    const results = runRamp(row, contenders, random)
    for (const [k, result] of results.entries()) outcomes[k]?.push(result)
  }
  return outcomes
}

function runRamp(row: Row, contenders: readonly Contender[], random: Random): Outcome[] {
  const scenario = row.scenario(random)
  const runs = contenders.map(contender => ({
    step: contender.start(),
    outcome: undefined as Outcome | undefined,
  }))
  let candidateRequests = 0
  const { harmFrom = 0 } = row
  for (let start = 0; start < RAMP_SECONDS && runs.some(({ outcome }) => !outcome); start += LOOK_SECONDS) {
    const weightPercent = WEIGHTS[Math.floor(start / STEP_SECONDS)] ?? 0
    const interval = handle(scenario, random, {
      t: start + LOOK_SECONDS,
      seconds: LOOK_SECONDS,
      weightPercent,
    })
    if (interval.t > harmFrom) candidateRequests += interval.candidate.requests
    for (const run of runs) {
      if (run.outcome || !run.step(interval)) continue
      run.outcome = { seconds: interval.t - harmFrom, candidateRequests, early: interval.t <= harmFrom }
    }
  }
  return runs.map(({ outcome }) => outcome ?? { seconds: undefined, candidateRequests, early: false })
}

/** Failures at one rate, or a jump of the candidate's from it. */
export function constant(requestsPerSecond: number, rate: number, candidateRate = rate): Row['scenario'] {
  return () => ({ requestsPerSecond, at: () => ({ stable: rate, candidate: candidateRate }) })
}

export function slower(requestsPerSecond: number, rate: number, latencyRatio: number): Row['scenario'] {
  return () => ({ requestsPerSecond, at: () => ({ stable: rate, candidate: rate, latencyRatio }) })
}

export function fromSecond(
  begin: number,
  requestsPerSecond: number,
  rates: readonly [number, number],
): Row['scenario'] {
  const [before, after] = rates
  return () => ({ requestsPerSecond, at: t => ({ stable: before, candidate: t < begin ? before : after }) })
}

/** Each variant's rate varies by itself from minute to minute: healthy, and yet more than counting explains. */
export function noisy(requestsPerSecond: number, rate: number, sigma: number): Row['scenario'] {
  return random => {
    const minutes = Array.from({ length: RAMP_SECONDS / 60 }, () => ({
      stable: rate * Math.exp(sigma * random.normal()),
      candidate: rate * Math.exp(sigma * random.normal()),
    }))
    return { requestsPerSecond, at: t => minutes[Math.floor(t / 60)] ?? { stable: rate, candidate: rate } }
  }
}

const BURSTS = 3
const BURST_SECONDS = 60
const BURST_FACTOR = 10

/** The rate triples over the ramp, traffic swings by half, and three one-minute bursts of ten times the rate hit both. */
export function drifting(requestsPerSecond: number, rate: number): Row['scenario'] {
  return random => {
    const phase = random.uniform() * 2 * Math.PI
    const bursts = Array.from({ length: BURSTS }, () => random.uniform() * (RAMP_SECONDS - BURST_SECONDS))
    return {
      requestsPerSecond,
      at: t => {
        const inBurst = bursts.some(begin => t >= begin && t < begin + BURST_SECONDS)
        const shared = rate * (inBurst ? BURST_FACTOR : 1 + (2 * t) / RAMP_SECONDS)
        return { stable: shared, candidate: shared, traffic: 1 + 0.5 * Math.sin(phase + t / 300) }
      },
    }
  }
}
