import type { RolloutSpec } from '../../contract/rollout.ts'
import type { HookType, Webhook } from '../../contract/webhook.ts'
import type { Traffic } from '../evidence/traffic.ts'
import { climbSeconds, type Climber, type Stage } from '../judge/climb.ts'
import type { Judge } from '../judge/judge.ts'
import { slowShare, type Share } from '../judge/metric-block.ts'
import { baselineBp } from './baseline.ts'
import { inWords } from './duration.ts'
import type { GateType } from './hook-gate.ts'
import type { NextWeight, Outlook, RolloutState, Warning } from './rollout-state.ts'
import { isForeseeable, wayAhead } from './stages.ts'
import { currentStep } from './steps.ts'

export interface OutlookFacts {
  readonly now: number
  /** Undefined while too little was seen of it. */
  readonly traffic: Traffic | undefined
  readonly judge: Pick<Judge, 'forecast' | 'standings'>
}

/** The state with what is to be expected of the rest of the rollout, and with a warning where that is too much. Pure. */
export function withOutlook(state: RolloutState, facts: OutlookFacts, spec: RolloutSpec): RolloutState {
  const outlook = outlookOf(state, facts, spec)
  if (outlook === null) return state
  const { requestsPerSecond, seconds } = outlook
  const expectation = state.expectation ?? { seconds, requestsPerSecond, at: facts.now }
  return { ...state, outlook, expectation, warnings: warningsOf({ ...state, outlook }, facts.now, spec) }
}

function outlookOf(
  state: RolloutState,
  { now, traffic, judge }: OutlookFacts,
  spec: RolloutSpec,
): Outlook | null {
  if (traffic === undefined || !isForeseeable(state, spec)) return null
  const { stages, needsPerson } = wayAhead(state, spec, now - (state.stepSince ?? now))
  const seconds = climbSeconds(stages, climberOf({ state, traffic, judge, spec }))
  const { requestsPerSecond } = traffic
  return {
    requestsPerSecond,
    next: nextWeight(state, stages[0], { judge, spec }),
    seconds: orNull(seconds),
    needsPerson,
  }
}

interface Climbing {
  readonly state: RolloutState
  readonly traffic: Traffic
  readonly judge: Pick<Judge, 'standings'>
  readonly spec: RolloutSpec
}

function climberOf({ state, traffic, judge, spec }: Climbing): Climber {
  const { failure, latency } = judge.standings()
  const { stable } = traffic
  const atMostMs = spec.analysis.latency?.atMostMs
  const slow = atMostMs === undefined ? undefined : slowShare(stable, atMostMs / 1000)
  return {
    weightPercent: state.weightBp / 100,
    metrics: [
      {
        standing: failure,
        rate: rateOf({ events: stable.failures ?? 0, requests: stable.requests }),
      },
      ...(latency && slow ? [{ standing: latency, rate: rateOf(slow) }] : []),
    ],
    requestsPerSecond: traffic.requestsPerSecond,
    ...(state.replicas.baseline && { comparatorPercent: weight => baselineBp(weight * 100) / 100 }),
    settleSeconds: state.settleSeconds,
    intervalSeconds: spec.analysis.interval / 1000,
  }
}

/** No event among few requests is not yet a rate of 0, but half an event would be a rate that no healthy service has. */
const EVENTS_NOT_SEEN = 0.1

function rateOf({ events, requests }: Share): number {
  return (events + EVENTS_NOT_SEEN) / (requests + 1)
}

/** What the judge says of the evidence that the present step waits for; null where it waits for none. */
function nextWeight(
  state: RolloutState,
  stage: Stage | undefined,
  { judge, spec }: { readonly judge: Pick<Judge, 'forecast'>; readonly spec: RolloutSpec },
): NextWeight | null {
  const view = currentStep(state, spec)
  if ((view.kind !== 'ramp' && view.kind !== 'pause') || stage === undefined || stage.excess === null)
    return null
  const forecast = judge.forecast(view.nextWeightPercent, view.riskBudget)
  if (forecast === undefined) return null
  return {
    weightPercent: view.kind === 'ramp' && view.atEnd ? 100 : view.nextWeightPercent,
    excess: stage.excess,
    candidateRequests: orNull(forecast.candidateRequests),
    seconds: orNull(forecast.seconds),
  }
}

function orNull(value: number): number | null {
  return Number.isFinite(value) ? value : null
}

/** A warning that was given stays until there is clearly time enough: traffic that wavers is not told again and again. */
const CLEARLY = 0.8

function warningsOf(
  { deadlineFrom, outlook, warnings }: RolloutState,
  now: number,
  spec: RolloutSpec,
): readonly Warning[] {
  if (outlook === null) return warnings
  const leftSeconds = Math.max(0, deadlineFrom + spec.onDeadline.after - now) / 1000
  const given = warnings.find(({ name }) => name === 'budget-out-of-reach')
  const others = warnings.filter(warning => warning !== given)
  const allowed = given ? leftSeconds * CLEARLY : leftSeconds
  if (outlook.seconds !== null && outlook.seconds <= allowed) return others
  if (given && outlook.seconds !== null && outlook.seconds <= leftSeconds) return warnings
  return [...others, { name: 'budget-out-of-reach', message: outOfReach(outlook, leftSeconds) }]
}

function outOfReach({ requestsPerSecond, seconds }: Outlook, leftSeconds: number): string {
  const rate = `at ${toRate(requestsPerSecond)} requests per second`
  const needed =
    seconds === null ? 'the evidence never suffices' : `the evidence takes about ${inWords(seconds)} more`
  const deadline = leftSeconds > 0 ? `the deadline is in ${inWords(leftSeconds)}` : 'its deadline is over'
  return `${rate} ${needed}, and ${deadline}: more traffic, a larger risk budget or a later deadline is needed`
}

/** What nobody foresees, as the end of a sentence. */
export function notCounted(
  { needsPerson }: Pick<Outlook, 'needsPerson'>,
  webhooks: readonly Webhook[],
): string {
  const waits = [
    ...(needsPerson ? ['a person to answer'] : []),
    ...(webhooks.some(({ type }) => MAY_WAIT.has(type)) ? ['webhooks to agree'] : []),
  ]
  return waits.length === 0 ? '' : `, not counting what it takes ${waits.join(' and ')}`
}

const MAY_WAIT: ReadonlySet<HookType> = new Set<GateType>([
  'confirm-rollout',
  'pre-rollout',
  'rollout',
  'confirm-traffic-increase',
  'confirm-promotion',
])

export function toRate(requestsPerSecond: number): string {
  return String(Number(requestsPerSecond.toPrecision(requestsPerSecond < 100 ? 2 : 3)))
}
