import type { Decision, Look } from '../../contract/history.ts'
import { createBlocks, isCounted } from '../evidence/blocks.ts'
import { createCounters } from '../evidence/counters.ts'
import type { Tally } from '../evidence/tally.ts'
import { createCustomMetrics, whyNotAdvance, type MetricStanding } from './custom-metrics.ts'
import { logMean } from './e-value.ts'
import type { Judge } from './judge.ts'
import { failureShare, slowShare } from './metric-block.ts'
import { createObjectives } from './objectives.ts'
import type { JudgeOptions } from './options.ts'
import { createRecorded } from './recorded.ts'
import { createSilentGate } from './silent-gate.ts'

const NO_LIMITS = { failure: Infinity, latency: Infinity }
const MAX_E = 1e300
const ALL_TRAFFIC_BP = 10_000

/**
 * Judges a candidate that has nothing beside it to be compared with: the first version ever, or blue-green after the switch. Its
 * absolute objectives apply, and what stable did before the switch where that is on record, over a window; every decision
 * says so.
 */
export function createWatch(options: JudgeOptions, { windowSeconds = 600 } = {}): Judge {
  const blocks = createBlocks({ settleSeconds: options.settleSeconds, comparator: null })
  const ruleOnMetrics = createCustomMetrics(options.metrics)
  const learn = createRecorder()
  const evidence = createEvidence(options)
  const threshold = 1 / options.alpha
  let begun: number | undefined
  let candidate = 0
  let cause: Cause | null = null
  let endedBlock = false
  let metrics: readonly MetricStanding[] = []
  let held: readonly string[] = []

  function stepWatch(look: Look): boolean {
    begun ??= look.t
    const outcome = blocks(look)
    endedBlock = outcome.kind === 'block'
    if (outcome.kind !== 'block') return false
    evidence.step(outcome.block.candidate)
    candidate += outcome.block.candidate.requests
    if (evidence.logWhole() >= Math.log(threshold)) cause ??= evidence.largest()
    return look.t - begun >= windowSeconds
  }

  function decide({ t }: Look, isOver: boolean): Decision {
    const action = cause !== null ? 'withdraw' : isOver && held.length === 0 ? 'advance' : 'hold'
    const leftSeconds = begun === undefined ? windowSeconds : Math.max(0, begun + windowSeconds - t)
    const what = cause === null ? standing(action, leftSeconds, held) : HARMS[cause]
    const reason = `${what}; ${evidence.basis()}`
    const exposure = { stable: evidence.recorded(), candidate }
    return { t, action, e: toE(evidence.logWhole()), threshold, cause, u: 1, exposure, reason }
  }

  return {
    step(look) {
      metrics = ruleOnMetrics(look)
      held = metrics.flatMap(whyNotAdvance)
      const { candidate: weight = 0 } = look.weights
      if (weight === ALL_TRAFFIC_BP || begun !== undefined) return decide(look, stepWatch(look))
      for (const tally of learn(look)) evidence.learn(tally)
      return decide(look, false)
    },
    holds: () => held,
    metrics: () => metrics,
    evidence: () => ({ failure: 1, client_error: 1, latency: 1, absolute: 1, ...evidence.parts() }),
    endedBlock: () => endedBlock,
    ...createSilentGate(options),
  }
}

/** What stable did from look to look. */
function createRecorder() {
  const grownBy = createCounters()
  return ({ series }: Look): readonly Tally[] =>
    series
      .filter(one => one.variant === 'stable' && isCounted(one))
      .flatMap(one => {
        const tally = grownBy(one)
        return tally !== undefined && tally.requests > 0 ? [tally] : []
      })
}

type Cause = 'failure' | 'latency' | 'absolute'

/** The mean of the e-values that there are something to measure by. */
function createEvidence(options: JudgeOptions) {
  const objectives = createObjectives(options)
  const recorded = createRecorded(options)
  const logs = (): readonly (readonly [Cause, number])[] => [
    ...(objectives.given ? [['absolute', objectives.logValue(NO_LIMITS)] as const] : []),
    ...(Object.entries(recorded.logValues()) as ['failure' | 'latency', number][]),
  ]
  return {
    learn: recorded.learn,
    step(tally: Tally): void {
      const { latencyObjective } = options
      const slow = latencyObjective && slowShare(tally, latencyObjective.atMostSeconds)
      objectives.step({ failures: failureShare(tally), slow })
      recorded.step(tally)
    },
    recorded: recorded.requests,
    logWhole: () => (logs().length === 0 ? 0 : logMean(logs().map(([, log]) => log))),
    largest: (): Cause => logs().toSorted(([, a], [, b]) => b - a)[0]?.[0] ?? 'absolute',
    parts: () => Object.fromEntries(logs().map(([kind, log]) => [kind, toE(log)])),
    basis: () => {
      if (Object.keys(recorded.logValues()).length > 0)
        return `compared with ${recorded.requests()} requests to stable before the switch${objectives.given ? ', and with its absolute objectives' : ''}`
      return objectives.given ? NO_COMPARATOR : NO_OBJECTIVES
    },
  }
}

function toE(log: number): number {
  return Math.min(MAX_E, Math.exp(log))
}

function standing(
  action: 'advance' | 'hold' | 'withdraw',
  leftSeconds: number,
  held: readonly string[],
): string {
  if (held.length > 0) return `holding: ${held.join('; ')}`
  return action === 'advance' ? 'the watch is over' : `watching, ${Math.ceil(leftSeconds)} s left`
}

const HARMS: Readonly<Record<Cause, string>> = {
  absolute: 'withdrawn: the candidate misses its objective',
  failure: 'withdrawn: the candidate fails more often than stable did before the switch',
  latency: 'withdrawn: the candidate is slower than stable was before the switch',
}
const NO_COMPARATOR = 'there is no version to compare with, so only the absolute objectives apply'
const NO_OBJECTIVES = 'there is no version to compare with and no objective is set, so only the gates apply'
