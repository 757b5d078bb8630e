/** What is known when the gateway has ejected every endpoint of the candidate, which then gets no traffic. */
export interface EjectionFacts {
  readonly candidateEjected: boolean
  /** How it is called. */
  readonly who?: string
  readonly stableHealthy: boolean
  /** Trials of half-open endpoints that failed, in a row. */
  readonly failedTrials: number
  readonly e: number
  readonly threshold: number
}

export type EjectionRuling =
  | { readonly action: 'none' }
  | { readonly action: 'hold'; readonly reason: string }
  /** "unavailable" is an operational rule, outside of the promise about alpha. */
  | { readonly action: 'withdraw'; readonly cause: 'evidence' | 'unavailable'; readonly reason: string }

const MAX_FAILED_TRIALS = 3

/** An ejected candidate makes no more evidence, so a rule of operation decides where evidence does not. */
export function ruleOnEjection(facts: EjectionFacts): EjectionRuling {
  if (!facts.candidateEjected) return { action: 'none' }
  const { who = 'the candidate' } = facts
  if (!facts.stableHealthy) return { action: 'hold', reason: `${who} is ejected, but stable is failing too` }
  if (facts.e >= facts.threshold)
    return {
      action: 'withdraw',
      cause: 'evidence',
      reason: `${who} is ejected, and the evidence is against it`,
    }
  if (facts.failedTrials >= MAX_FAILED_TRIALS)
    return {
      action: 'withdraw',
      cause: 'unavailable',
      reason: `${who} is ejected and failed ${facts.failedTrials} trials in a row`,
    }
  return {
    action: 'hold',
    reason: `${who} is ejected, its traffic goes to stable until a trial succeeds`,
  }
}
