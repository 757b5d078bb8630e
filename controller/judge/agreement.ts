import { logMean, logOneSample } from './e-value.ts'

/** Where below the limit the disagreement may truly be, as parts of the limit. */
const PARTS: readonly number[] = [0, 0.1, 0.25, 0.5, 0.75]

export interface AgreementOptions {
  /** The disagreement between live and mirrored answers that must be ruled out. */
  readonly limit: number
  /** The chance that a disagreement at the limit is certified as below it. */
  readonly level: number
  /** How often stable disagrees with itself on mirrored requests. */
  readonly noiseFloor?: number
}

export interface Agreement {
  /** `noiseFloor`: as it is known before these pairs, where it was not given at the start. */
  step(disagreements: number, pairs: number, noiseFloor?: number): void
  logValue(): number
  /** Disagreement beyond the noise floor is below the limit. */
  isCertified(): boolean
}

/** Certifies that mirrored answers agree with live ones, from compared pairs, decidable at any look. */
export function createAgreement({ limit, level, noiseFloor = 0 }: AgreementOptions): Agreement {
  const arms = PARTS.map(part => ({ rate: limit * part, log: 0 }))
  const logValue = () => logMean(arms.map(({ log }) => log))
  let certified = false
  return {
    step(disagreements, pairs, floor = noiseFloor) {
      for (const arm of arms) arm.log += logOneSample(disagreements, pairs, floor + limit, floor + arm.rate)
      certified ||= logValue() >= Math.log(1 / level)
    },
    logValue,
    isCertified: () => certified,
  }
}
