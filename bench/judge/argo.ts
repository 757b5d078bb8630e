import type { Contender } from './contender.ts'
import { createWindows } from './windows.ts'

export interface ArgoSettings {
  readonly intervalSeconds?: number
  readonly minSuccessRate: number
  /** Failed measurements above this fail the analysis. */
  readonly failureLimit: number
}

/** A background analysis of Argo Rollouts on the success rate of the last interval, as in its documentation. */
export function createArgo({ intervalSeconds = 60, minSuccessRate, failureLimit }: ArgoSettings): Contender {
  return {
    name: `Argo ${minSuccessRate * 100} %, limit ${failureLimit}`,
    settings: `interval ${intervalSeconds} s, successCondition result[0] >= ${minSuccessRate}, failureLimit ${failureLimit}`,
    source: 'argoproj/argo-rollouts analysis/analysis.go at c9dd7ea02f9d',
    start() {
      const windows = createWindows(intervalSeconds)
      let failed = 0
      return interval => {
        const window = windows(interval)
        if (!window) return false
        const { requests, failures } = window.candidate
        if (!(1 - failures / requests >= minSuccessRate)) failed += 1 // NaN satisfies no condition
        return failed > failureLimit
      }
    },
  }
}
