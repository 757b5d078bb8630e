import type { Look } from '../../contract/history.ts'
import type { Block } from '../evidence/blocks.ts'
import { createBound } from './bound.ts'
import type { Forecast, Standing } from './forecast.ts'
import { firstBoundAtLeast } from './latency.ts'
import { failuresOf, slowOf } from './metric-block.ts'
import type { JudgeOptions } from './options.ts'

/** Upper bounds on the candidate's excess, fractions; 1 is unknown. Latency: the share slower than `atMostMs`. */
export interface Bounds {
  readonly failure: number
  readonly latency?: number
}

export interface Gate {
  /** Hears of every look, also those without counts: a new weight begins its own count of requests. */
  enter(look: Look): void
  step(block: Block): void
  bounds(): Bounds
  /** The largest bound. */
  upper(): number
  /** Candidate requests in usable blocks at the present weights. */
  requestsAtWeight(): number
  allows(budget: number): boolean
  /** The histogram's bound at which the latency objective is judged; null where none is that high. Undefined at first. */
  objectiveBoundSeconds(): number | null | undefined
  /** How much more evidence the slowest of the metrics needs; undefined while there is none to go by. */
  forecast(budget: number): Forecast | undefined
  /** Where the gating metrics stand. */
  standings(): Standings
}

export interface Standings {
  readonly failure: Standing
  readonly latency?: Standing
}

/**
 * What must be ruled out before the candidate gets more traffic. Every gating metric must be within the budget: that is
 * an intersection-union test, so no level is split over metrics or steps.
 */
export function createGate(options: JudgeOptions): Gate {
  const failure = createBound()
  const latency = options.latencyObjective && createBound()
  let candidateWeight: number | undefined
  let requestsAtWeight = 0
  let objectiveBound: number | null | undefined

  function bounds(): Bounds {
    return { failure: failure.upper(), ...(latency && { latency: latency.upper() }) }
  }
  function upper(): number {
    return Math.max(failure.upper(), latency?.upper() ?? -1)
  }

  return {
    enter({ weights }) {
      const weight = weights['candidate'] ?? 0
      if (weight !== candidateWeight) requestsAtWeight = 0
      candidateWeight = weight
    },
    step(block) {
      requestsAtWeight += block.candidate.requests
      const failures = failuresOf(block)
      if (failures) failure.step(failures)
      if (!options.latencyObjective) return
      const { atMostSeconds } = options.latencyObjective
      const slow = slowOf(block, atMostSeconds)
      if (slow) latency?.step(slow)
      const { durations } = block.candidate
      if (durations)
        objectiveBound = durations.bounds[firstBoundAtLeast(durations.bounds, atMostSeconds)] ?? null
    },
    bounds,
    upper,
    requestsAtWeight: () => requestsAtWeight,
    objectiveBoundSeconds: () => objectiveBound,
    standings: () => ({ failure: failure.standing(), ...(latency && { latency: latency.standing() }) }),
    forecast: budget => slowest([failure.forecast(budget), latency?.forecast(budget)]),
    allows: budget =>
      options.advance === 'time' ? requestsAtWeight >= options.minRequests : upper() <= budget,
  }
}

function slowest(forecasts: readonly (Forecast | undefined)[]): Forecast | undefined {
  const known = forecasts.filter(forecast => forecast !== undefined)
  return known.toSorted((a, b) => b.seconds - a.seconds)[0]
}
