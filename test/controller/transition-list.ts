import type { Decision } from '../../contract/history.ts'
import type { RolloutSpec } from '../../contract/rollout.ts'
import { nextState, type Observation } from '../../controller/rollouts/rollout-machine.ts'
import { isOver, type RolloutState } from '../../controller/rollouts/rollout-state.ts'
import { applyVerb, VERBS } from '../../controller/rollouts/verbs.ts'

const EVIDENCE: Readonly<Record<NonNullable<Decision['cause']>, true>> = {
  failure: true,
  client_error: true,
  latency: true,
  absolute: true,
  disagreement: true,
  feedback: true,
}

/** What kind of transition leads from one state to another; null where only what is known has changed. */
export function transitionOf(before: RolloutState, after: RolloutState): string | null {
  if (before.phase !== after.phase || before.cause !== after.cause)
    return `${before.phase} → ${placeOf(after)}`
  if (before.weightBp !== after.weightBp) return `${before.phase}: weight`
  if (before.mirrorPercent !== after.mirrorPercent) return `${before.phase}: mirror`
  return before.step === after.step ? null : `${before.phase}: step`
}

/** Whichever evidence speaks against the candidate, what is done is the same. */
function placeOf({ phase, cause }: RolloutState): string {
  if (cause === null || (phase !== 'Paused' && phase !== 'RollingBack')) return phase
  return `${phase} (${cause in EVIDENCE ? 'evidence' : cause})`
}

/**
 * Every kind of transition that the state machine has: from the first state on, each state that it reaches is shown everything
 * that can be seen, and is asked for every verb.
 */
export function listTransitions(first: RolloutState, spec: RolloutSpec): ReadonlySet<string> {
  const found = new Set<string>()
  const placed: RolloutState = { ...first, policyVersion: 1 } // as soon as its first policy is in force
  const reached = new Map([[keyOf(placed), placed]])
  for (const state of reached.values()) {
    for (const next of successors(state, spec)) {
      const transition = transitionOf(state, next)
      if (transition !== null) found.add(transition)
      if (!isOver(next) && !reached.has(keyOf(next))) reached.set(keyOf(next), next)
    }
  }
  return found
}

/** States alike in this have the same transitions; times, messages and figures are left out. */
function keyOf({
  phase,
  cause,
  step,
  weightBp,
  mirrorPercent,
  lastDecision,
  withdrawnAt,
}: RolloutState): string {
  return JSON.stringify([
    phase,
    cause,
    step,
    weightBp,
    mirrorPercent,
    lastDecision === null,
    withdrawnAt === null,
  ])
}

function* successors(state: RolloutState, spec: RolloutSpec): Generator<RolloutState> {
  for (const seen of observations(state)) yield nextState(state, seen, spec)
  for (const verb of VERBS) {
    try {
      yield applyVerb(verb, state, { spec, now: latest(state) + 1000, actor: 'ada' })
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'conflict') throw error // a verb without a meaning in this state
    }
  }
}

function latest({ startedAt, deadlineFrom, stepSince }: RolloutState): number {
  return Math.max(startedAt, deadlineFrom, stepSince ?? 0)
}

/** From a good, a waiting and a blind look on, one thing after the other is seen differently, each soon, later and too late. */
function* observations(state: RolloutState): Generator<Observation> {
  const soon: Observation = {
    now: latest(state) + 1000,
    policyVersion: state.policyVersion,
    policyAsWanted: true,
    policyWeightBp: state.weightBp,
    candidate: { kind: 'ready', endpoints: ['http://127.0.0.1:9102'], digest: state.candidate.digest },
    ejection: { action: 'none' },
    decision: decision('advance'),
    holds: [],
    metrics: [],
    allows: () => true,
  }
  const waiting: Observation = { ...soon, decision: decision('hold'), allows: () => false }
  const blind: Observation = { ...waiting, decision: null }
  for (const look of [soon, waiting, blind])
    for (const ms of [1000, 200_000, 10_800_000])
      for (const difference of differences(state)) yield { ...look, now: latest(state) + ms, ...difference }
}

const endpoints = ['http://127.0.0.1:9102']
const metric = { name: 'gpu-errors', value: 1, reason: 'gpu-errors is 1' }

function differences({ policyVersion: own, step }: RolloutState): readonly Partial<Observation>[] {
  const policyVersion = (own ?? 0) + 1
  const asked = { reason: null, answeredAt: 1 }
  const steps = [
    new Map([[step, { ...asked, passed: true, attempts: 1 }]]),
    new Map([[step, { ...asked, passed: false, attempts: 1 }]]),
    new Map([[step, { ...asked, passed: false, attempts: 1000 }]]),
  ]
  return [
    ...DIFFERENCES,
    { policyVersion },
    ...steps.map(steps => ({ hooks: { rollbackAskedBy: undefined, steps } })),
    { hooks: { rollbackAskedBy: 'panic-button', steps: new Map() } },
    ...[3000, 6000].map(policyWeightBp => ({ policyVersion, policyAsWanted: false, policyWeightBp })),
  ]
}

const DIFFERENCES: readonly Partial<Observation>[] = [
  {},
  { policyVersion: null, policyAsWanted: false, policyWeightBp: null },
  { policyAsWanted: false },
  { candidate: { kind: 'absent' } },
  { candidate: { kind: 'starting', endpoints, reason: 'loading' } },
  { candidate: { kind: 'refused', endpoints, reason: 'the digest differs' } },
  { candidate: { kind: 'ready', endpoints, digest: 'sha256:other' } },
  { ejection: { action: 'hold', reason: 'ejected' } },
  { ejection: { action: 'withdraw', cause: 'unavailable', reason: 'three trials failed' } },
  { ejection: { action: 'withdraw', cause: 'evidence', reason: 'ejected, and the evidence is against it' } },
  { decision: { ...decision('withdraw'), cause: 'failure' } },
  { holds: ['requests went missing'] },
  { metrics: [{ ...metric, action: 'hold' }] },
  { metrics: [{ ...metric, action: 'withdraw' }] },
  { metrics: [{ ...metric, action: 'pause' }] },
]

function decision(action: Decision['action']): Decision {
  const exposure = { stable: 1000, candidate: 1000 }
  return { t: 1, action, e: 1, threshold: 100, cause: null, u: 0.5, exposure, reason: 'because' }
}
