import type { Decision } from '../../contract/history.ts'
import type { BlockOutcome } from '../evidence/blocks.ts'
import type { Gate } from './gate.ts'
import type { Rung } from './ladder.ts'
import type { JudgeOptions } from './options.ts'
import type { Verdict } from './verdict.ts'

export interface Reasons {
  readonly decision: Omit<Decision, 'reason'>
  readonly outcome: BlockOutcome
  /** The weight to come and what it needs. */
  readonly rung: Rung | undefined
  /** Reasons to hold from elsewhere. */
  readonly holds: readonly string[]
  readonly gate: Gate
  readonly verdict: Verdict
  readonly options: JudgeOptions
}

/** One sentence for the operator about a decision. */
export function explain(reasons: Reasons): string {
  const { decision } = reasons
  switch (decision.action) {
    case 'withdraw':
      return [`withdrawn: ${harm(reasons)}`, ...remarks(reasons)].join('; ')
    case 'advance':
      return advancement(reasons)
    case 'hold':
      return [`holding: ${whyHold(reasons)}`, ...remarks(reasons)].join('; ')
  }
}

/** What makes latency mean something else than the rollout's file says. */
function remarks({ decision, verdict, gate, options }: Reasons): readonly string[] {
  const isAboutLatency = decision.cause === null || decision.cause === 'latency'
  const burst = isAboutLatency ? options.latencyBurstSeconds : 0
  const general = [
    ...(burst > 0 ? [`requests within ${toMs(burst)} of each other count as one where they are late`] : []),
    ...(verdict.isCoarse()
      ? ['latency buckets are more than 1.25 apart, so no latency tolerance applies']
      : []),
  ]
  const bound = gate.objectiveBoundSeconds()
  const atMost = options.latencyObjective?.atMostSeconds
  if (bound === undefined || atMost === undefined) return general
  if (bound === null)
    return [...general, `no latency bucket reaches ${toMs(atMost)}, so nothing is known about it`]
  if (Math.abs(bound / atMost - 1) < 1e-3) return general
  return [...general, `${toMs(atMost)} is between two latency buckets and judged at ${toMs(bound)}`]
}

function toMs(seconds: number): string {
  return `${Math.round(seconds * 1000)} ms`
}

const HARMS = {
  failure: 'the candidate fails more often than stable',
  client_error: 'the candidate refuses more requests than stable',
  latency: 'the candidate is slower than stable',
  absolute: 'the candidate misses its objective and is worse than stable',
  disagreement: 'the candidate answers otherwise than stable',
  feedback: 'users do worse with the candidate',
} as const

function harm({ decision }: Reasons): string {
  const { cause, e, threshold, exposure } = decision
  const evidence = `e ${toShort(e)}, threshold ${toShort(threshold)}, after ${exposure.candidate} candidate requests`
  return `${cause === null ? '' : HARMS[cause]} (${evidence})`
}

function advancement({ decision, rung, gate, options }: Reasons): string {
  if (options.advance === 'time')
    return `${gate.requestsAtWeight()} candidate requests at this weight, at least ${options.minRequests} needed`
  return `excess at most ${toPoints(decision.u)}, within the ${toPoints(rung?.budget ?? 0)} allowed at ${rung?.weightPercent} %`
}

function whyHold({ outcome, holds, rung, gate, options, decision }: Reasons): string {
  if (holds.length > 0) return holds.join('; ')
  if (outcome.kind === 'none') return WITHOUT_BLOCK[outcome.why]
  if (!rung) return 'the candidate has all traffic, so there is nothing to compare it with'
  if (options.advance === 'time')
    return `${gate.requestsAtWeight()} of ${options.minRequests} candidate requests at this weight`
  const bound =
    decision.u >= 1 ? 'no bound on the excess yet' : `excess of ${toPoints(decision.u)} not ruled out`
  return `${bound}, ${toPoints(rung.budget)} allowed at ${rung.weightPercent} %${howLong(gate, rung)}`
}

/** What it takes if the candidate is as good as stable. */
function howLong(gate: Gate, rung: Rung): string {
  const forecast = gate.forecast(rung.budget)
  if (!forecast) return ''
  if (forecast.seconds === Infinity) return ', which this traffic cannot show'
  return `: about ${forecast.candidateRequests} more candidate requests, ${toTime(forecast.seconds)} at this traffic`
}

function toTime(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`
  if (seconds < 5400) return `${Math.ceil(seconds / 60)} min`
  return `${Math.ceil(seconds / 3600)} h`
}

const WITHOUT_BLOCK = {
  first: 'first look, counting from here',
  'no-data': 'no data for both variants',
  settling: 'the weights changed, requests sent before still complete',
  'no-requests': 'one of the variants handled no request since the last look',
} as const

function toPoints(fraction: number): string {
  return `${(fraction * 100).toPrecision(3)} pp`
}

/** Of evidence: three digits, or a power of ten. */
export function toShort(value: number): string {
  return value >= 1e6 ? value.toExponential(1) : String(Number(value.toPrecision(3)))
}
