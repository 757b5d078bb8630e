import { createAbsolute } from '../judge/absolute.ts'
import { createAgreement } from '../judge/agreement.ts'
import type { Share } from '../judge/metric-block.ts'

export interface Turn {
  readonly turn: 'raise' | 'resolve'
  /** What it was decided on. */
  readonly evidence: Share
}

export interface ShareAlarm {
  /** What happened since the last step, and what follows from it; null: nothing new. */
  step(share: Share): Turn | null
}

interface ShareAlarmOptions {
  /** The share of events that is still allowed. */
  readonly limit: number
  /** Nothing is raised on fewer requests. */
  readonly minSamples: number
  /** Whether it stands already, from before a restart. */
  readonly firing: boolean
}

/** Where a service is always exactly at its limit it takes this many looks on average, or more, until one is mistaken. */
const LOOKS_UNTIL_MISTAKEN = { raise: 1e6, resolve: 1e4 }

/**
 * Watches a share without an end. Evidence that the limit is exceeded starts anew whenever the past speaks against it, so that
 * good weeks do not outweigh a bad minute: an e-detector of the CUSUM kind (Shin, Ramdas & Rinaldo, arXiv 2203.03532), whose
 * average run length to a false alarm is at least its threshold. What stands is resolved on evidence of the contrary, not on the
 * absence of evidence: between the two it stays as it is.
 */
export function createShareAlarm({ limit, minSamples, firing: initially }: ShareAlarmOptions): ShareAlarm {
  let firing = initially
  const exceeded = createRestarting(() => createAbsolute(limit))
  const kept = createRestarting(() => createAgreement({ limit, level: 1 / LOOKS_UNTIL_MISTAKEN.resolve }))

  return {
    step(share) {
      if (share.requests === 0) return null
      const process = firing ? kept : exceeded
      const { log, evidence } = process.step(share)
      const threshold = LOOKS_UNTIL_MISTAKEN[firing ? 'resolve' : 'raise']
      if (log < Math.log(threshold) || evidence.requests < minSamples) return null
      firing = !firing
      process.begin()
      return { turn: firing ? 'raise' : 'resolve', evidence }
    },
  }
}

interface Process {
  step(events: number, requests: number): void
  logValue(): number
}

/** A process that begins anew when it is worth less than having none. */
function createRestarting(create: () => Process) {
  let process = create()
  let evidence: Share = { events: 0, requests: 0 }
  function begin(): void {
    process = create()
    evidence = { events: 0, requests: 0 }
  }
  return {
    begin,
    step({ events, requests }: Share) {
      process.step(events, requests)
      evidence = { events: evidence.events + events, requests: evidence.requests + requests }
      const result = { log: process.logValue(), evidence }
      if (result.log < 0) begin()
      return result
    },
  }
}
