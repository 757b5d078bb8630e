import { createAbsolute } from './absolute.ts'
import { logMean } from './e-value.ts'
import type { Share } from './metric-block.ts'
import type { JudgeOptions } from './options.ts'

export interface Objectives {
  /** What of the candidate's requests failed, and what was slower than the objective; absent where not counted. */
  step(block: { readonly failures: Share | undefined; readonly slow: Share | undefined }): void
  /**
   * Log e-value against "the candidate meets its objectives", each no more than the log e-value of the same kind in
   * `limits`; 0 without objectives.
   */
  logValue(limits: { readonly failure: number; readonly latency: number }): number
  readonly given: boolean
}

/** The absolute objectives of a rollout: success rate at least, latency at most. Those given are averaged. */
export function createObjectives({ successAtLeast, latencyObjective }: JudgeOptions): Objectives {
  const failure = successAtLeast === undefined ? undefined : createAbsolute(1 - successAtLeast)
  const latency = latencyObjective && createAbsolute(1 - latencyObjective.quantile)
  return {
    step({ failures, slow }) {
      if (failures) failure?.step(failures.events, failures.requests)
      if (slow) latency?.step(slow.events, slow.requests)
    },
    logValue(limits) {
      const given = [
        ...(failure ? [Math.min(failure.logValue(), limits.failure)] : []),
        ...(latency ? [Math.min(latency.logValue(), limits.latency)] : []),
      ]
      return given.length === 0 ? 0 : logMean(given)
    },
    given: failure !== undefined || latency !== undefined,
  }
}
