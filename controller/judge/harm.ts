import { createTilts, exposureShare, HARM, logAdd, logSum, type Tilt } from './e-value.ts'
import { createTemper, type MetricBlock } from './temper.ts'

export interface HarmOptions {
  /** r: a candidate whose rate is up to this many times stable's is healthy. */
  readonly toleranceRatio: number
  /** Looks that the rollout may take: its deadline over its interval, never the length of what happened. */
  readonly maxPolls: number
  /** Shared between processes that see the same exposure shares. */
  readonly tilts?: (share: number) => readonly Tilt[]
}

export interface Harm {
  step(block: MetricBlock): void
  /** Log e-value against "the candidate's rate is at most toleranceRatio times stable's". */
  logValue(): number
}

/**
 * Harm of one kind of event, as a mixture over rate ratios and over the block at which the harm began (restarts), so
 * that harm which starts late is found as fast as harm that starts at once: Shin, Ramdas & Rinaldo, e-detectors.
 */
export function createHarm(options: HarmOptions): Harm {
  const { toleranceRatio, maxPolls, tilts = createTilts(HARM) } = options
  const temper = createTemper(toleranceRatio)
  const logs = HARM.map(() => -Infinity)
  const mass = createRestartMass(maxPolls)
  let value = 0

  return {
    step(block) {
      const phi = temper(block)
      const logRestart = Math.log(mass.take(block.weightsEpoch))
      const { xc, xs } = block.counts
      for (const [k, tilt] of tilts(exposureShare(block.counts, toleranceRatio)).entries()) {
        const restarted = logAdd(logs[k] ?? -Infinity, logRestart)
        logs[k] = (xc * tilt.candidate - xs * tilt.stable) / phi + restarted
      }
      value = logAdd(logSum(logs) - Math.log(logs.length), Math.log(mass.remaining()))
    },
    logValue: () => value,
  }
}

/** How much of the mixture restarts at each block: much at the first, some after a weight change, a little always. */
function createRestartMass(maxPolls: number): { take(weightsEpoch: number): number; remaining(): number } {
  let remaining = 1
  let first = true
  let epoch = 0
  return {
    take(weightsEpoch) {
      const atFirst = first ? 0.5 : 0
      const atChange = weightsEpoch === epoch ? 0 : Math.min(0.05, remaining / 5)
      const taken = Math.min(remaining, 0.25 / maxPolls + atFirst + atChange)
      first = false
      epoch = weightsEpoch
      remaining = Math.max(0, remaining - taken)
      return taken
    },
    remaining: () => remaining,
  }
}
