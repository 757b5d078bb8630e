import type { Contender } from './contender.ts'
import { createWindows, quantile } from './windows.ts'

export interface FlaggerSettings {
  readonly intervalSeconds?: number
  readonly minSuccessRate?: number
  readonly maxP99Seconds?: number
  /** Failed checks, over the whole analysis, that roll back. They are never counted down. */
  readonly threshold?: number
}

/**
 * Flagger's built-in checks with the values of its documentation. The source rolls back at the tick after the check that
 * reaches the threshold; here it counts as rolled back at that check, which is in its favour.
 */
export function createFlagger(settings: FlaggerSettings = {}): Contender {
  const { intervalSeconds = 60, minSuccessRate = 0.99, maxP99Seconds = 0.5, threshold = 5 } = settings
  return {
    name: `Flagger ${minSuccessRate * 100} %, ${threshold}`,
    settings:
      `interval ${intervalSeconds} s, request-success-rate min ${minSuccessRate * 100} %, ` +
      `request-duration max ${maxP99Seconds * 1000} ms at the 99th percentile, threshold ${threshold}`,
    source:
      'fluxcd/flagger pkg/controller/scheduler.go at 2944581a706b, scheduler_metrics.go at b564a2fda2c4; ' +
      'values of docs.flagger.app/usage/metrics',
    start() {
      const windows = createWindows(intervalSeconds)
      let failedChecks = 0
      return interval => {
        const window = windows(interval)
        if (!window) return false
        const { requests, failures } = window.candidate
        const succeeds = requests > 0 && 1 - failures / requests >= minSuccessRate // no values found is a failed check
        if (!succeeds || quantile(window.candidate, 0.99) > maxP99Seconds) failedChecks += 1
        return failedChecks >= threshold
      }
    },
  }
}
