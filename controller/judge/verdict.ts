import type { Decision, HarmCause } from '../../contract/history.ts'
import type { Block } from '../evidence/blocks.ts'
import { thinDurations } from './bursts.ts'
import { logSum } from './e-value.ts'
import { createHarm, createRestartMass } from './harm.ts'
import { createLatency } from './latency.ts'
import { candidateShare, clientErrorsOf, failuresOf, slowOf } from './metric-block.ts'
import { createObjectives } from './objectives.ts'
import type { JudgeOptions } from './options.ts'

type Cause = HarmCause

/** What each kind of harm counts in the whole. They add to 1, so the whole is an e-value: Wang, arXiv 2409.19888. */
const SHARES: Readonly<Record<Cause, number>> = {
  failure: 0.45,
  client_error: 0.1,
  latency: 0.35,
  absolute: 0.1,
}

export type HarmEvidence = Readonly<Record<Cause, number>>

/** JSON has no infinity. */
const MAX_E = 1e300

export interface Verdict {
  step(block: Block): void
  /** Why the candidate is withdrawn, null while it is not. It stays what it was at the first e at the threshold. */
  cause(): Cause | null
  figures(): Pick<Decision, 'e' | 'threshold' | 'exposure'>
  /** The e-value of each kind of harm by itself, finite. */
  parts(): HarmEvidence
  /** Latency bounds are too far apart for the tolerance to apply. */
  isCoarse(): boolean
}

/** The combined e-value against "the candidate is no worse", and whether it ever reached 1/alpha. */
export function createVerdict(options: JudgeOptions): Verdict {
  const threshold = 1 / options.alpha
  const parts = createParts(options)
  let exposure = { stable: 0, candidate: 0 }
  let e = 1
  let cause: Cause | null = null

  return {
    step(block) {
      exposure = {
        stable: exposure.stable + block.comparator.requests,
        candidate: exposure.candidate + block.candidate.requests,
      }
      parts.step(block)
      const weighted = parts.weighted()
      const logWhole = logSum(weighted.map(part => part.log))
      e = toE(logWhole)
      if (cause === null && logWhole >= Math.log(threshold)) cause = largest(weighted)
    },
    cause: () => cause,
    figures: () => ({ e, threshold, exposure }),
    parts: parts.each,
    isCoarse: parts.isCoarse,
  }
}

interface WeightedPart {
  readonly cause: Cause
  readonly log: number
}

function largest(parts: readonly WeightedPart[]): Cause | null {
  return parts.toSorted((a, b) => b.log - a.log)[0]?.cause ?? null
}

/** The four kinds of harm. A part without data is 1. */
function createParts(options: JudgeOptions) {
  const restartMass = createRestartMass(options.maxPolls)
  const failure = createHarm({ toleranceRatio: options.failureToleranceRatio, restartMass })
  const clientError = createHarm({ toleranceRatio: options.failureToleranceRatio, restartMass })
  const latency = createLatency({ toleranceRatio: options.latencyToleranceRatio, restartMass })
  const objectives = createObjectives(options)

  function logOf(cause: Cause): number {
    switch (cause) {
      case 'failure':
        return failure.logValue()
      case 'client_error':
        return clientError.logValue()
      case 'latency':
        return latency.logValue()
      case 'absolute':
        // What must be refuted is "meets its objective or is no worse than stable": with the objective alone an outage
        // that both variants share would withdraw a healthy candidate.
        return objectives.logValue({ failure: failure.logValue(), latency: latency.logValue() })
    }
  }

  return {
    step(block: Block) {
      const failures = failuresOf(block)
      if (failures) failure.step(failures)
      const clientErrors = clientErrorsOf(block)
      if (clientErrors) clientError.step(clientErrors)
      latency.step(thinDurations(block, options.latencyBurstSeconds))
      const slow = options.latencyObjective && slowOf(block, options.latencyObjective.atMostSeconds)
      objectives.step({ failures: candidateShare(failures), slow: candidateShare(slow) })
    },
    weighted: (): readonly WeightedPart[] =>
      CAUSES.map(cause => ({ cause, log: Math.log(SHARES[cause]) + logOf(cause) })),
    each: (): HarmEvidence => ({
      failure: toE(logOf('failure')),
      client_error: toE(logOf('client_error')),
      latency: toE(logOf('latency')),
      absolute: toE(logOf('absolute')),
    }),
    isCoarse: latency.isCoarse,
  }
}

function toE(log: number): number {
  return Math.min(MAX_E, Math.exp(log))
}

const CAUSES: readonly Cause[] = ['failure', 'client_error', 'latency', 'absolute']
