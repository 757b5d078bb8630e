import { createTilts, exposureShare, HARM, logAdd, logSum, type Tilt } from './e-value.ts'
import { createTemper, type MetricBlock } from './temper.ts'

export interface HarmOptions {
  /** r: a candidate whose rate is up to this many times stable's is healthy. */
  readonly toleranceRatio: number
  readonly restartMass: RestartMass
  /** Shared between processes that see the same exposure shares. */
  readonly tilts?: (share: number) => readonly Tilt[]
}

/** How much of the mixture begins at a block; known before the block, and never more than what remains. */
export type RestartMass = (at: {
  readonly isFirst: boolean
  readonly isFirstAtWeights: boolean
  readonly remaining: number
}) => number

/**
 * Much at the first block, some after a weight change, a little always. `maxPolls` is how many looks the rollout may
 * take, its deadline over its interval, never the length of what happened.
 */
export function createRestartMass(maxPolls: number): RestartMass {
  return ({ isFirst, isFirstAtWeights, remaining }) =>
    0.25 / maxPolls + (isFirst ? 0.5 : 0) + (isFirstAtWeights ? Math.min(0.05, remaining / 5) : 0)
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
  const { toleranceRatio, tilts = createTilts(HARM) } = options
  const temper = createTemper(toleranceRatio)
  const takeMass = createMixture(options.restartMass)
  const logs = HARM.map(() => -Infinity)
  let value = 0

  return {
    step(block) {
      const phi = temper(block)
      const mass = takeMass(block.weightsEpoch)
      const logRestart = Math.log(mass.restarted)
      const { xc, xs } = block.counts
      for (const [k, tilt] of tilts(exposureShare(block.counts, toleranceRatio)).entries()) {
        const restarted = logAdd(logs[k] ?? -Infinity, logRestart)
        logs[k] = (xc * tilt.candidate - xs * tilt.stable) / phi + restarted
      }
      value = logAdd(logSum(logs) - Math.log(logs.length), Math.log(mass.remaining))
    },
    logValue: () => value,
  }
}

/** Keeps what remains of the mixture: the part that bets on no harm yet. */
function createMixture(restartMass: RestartMass) {
  let remaining = 1
  let isFirst = true
  let epoch = 0
  return (weightsEpoch: number) => {
    const wanted = restartMass({ isFirst, isFirstAtWeights: weightsEpoch !== epoch, remaining })
    const restarted = Math.min(remaining, wanted)
    remaining = Math.max(0, remaining - restarted)
    isFirst = false
    epoch = weightsEpoch
    return { restarted, remaining }
  }
}
