import { logMean, logOneSample } from './e-value.ts'

const RATIOS: readonly number[] = [1.25, 1.6, 2, 3, 5, 10]

export interface Absolute {
  step(events: number, requests: number): void
  /** Log e-value against "the rate is at most p0". */
  logValue(): number
}

/** An absolute objective: the candidate's rate of an event is at most `p0`. A plain product from the first block. */
export function createAbsolute(p0: number): Absolute {
  const arms = RATIOS.map(ratio => ({ p1: p0 * ratio, log: 0 }))
  return {
    step(events, requests) {
      for (const arm of arms) arm.log += logOneSample(events, requests, p0, arm.p1)
    },
    logValue: () => logMean(arms.map(arm => arm.log)),
  }
}
