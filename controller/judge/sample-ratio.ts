import { logMean, tilt } from './e-value.ts'

const RATIOS: readonly number[] = [0.5, 0.8, 0.9, 0.95, 1.05, 1.1, 1.25, 2]
/** 1/0.001. */
const THRESHOLD = 1000

export interface SampleRatio {
  /** Requests assigned since the last step under one candidate weight, a share between 0 and 1. */
  step(assigned: { readonly candidate: number; readonly stable: number }, candidateShare: number): void
  logValue(): number
  /** The split is not what was asked for: hold. Not sticky: it ends when the evidence does. */
  isMismatched(): boolean
}

/**
 * Sample-ratio mismatch: do the variants get the shares that the weights say? Only for routes without a sticky key:
 * there requests come in users, and one heavy user makes a healthy split look wrong.
 */
export function createSampleRatio(): SampleRatio {
  const arms = RATIOS.map(rho => ({ rho, log: 0 }))
  const logValue = () => logMean(arms.map(({ log }) => log))
  return {
    step({ candidate, stable }, candidateShare) {
      if (!(candidateShare > 0 && candidateShare < 1)) return
      for (const arm of arms) {
        const weight = tilt(arm.rho, candidateShare)
        arm.log += candidate * weight.candidate - stable * weight.stable
      }
    },
    logValue,
    isMismatched: () => logValue() >= Math.log(THRESHOLD),
  }
}
