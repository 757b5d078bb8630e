import type { Decision } from '../../contract/history.ts'
import type { RolloutSpec } from '../../contract/rollout.ts'
import {
  standingVariants,
  type Arm,
  type Experiment,
  type FallenArm,
} from '../../controller/rollouts/arms.ts'
import { nextState, type Observation } from '../../controller/rollouts/rollout-machine.ts'
import { isOver, type RolloutState } from '../../controller/rollouts/rollout-state.ts'
import type { DeploymentStatus } from '../../controller/runtime/runtime.ts'
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
  const arms = changeOfArms(before.experiment, after.experiment)
  if (arms !== null) return `${before.phase}: ${arms}`
  const replicas = changeOfReplicas(before, after)
  if (replicas !== null) return `${before.phase}: ${replicas}`
  return before.step === after.step ? null : `${before.phase}: step`
}

function changeOfReplicas(before: RolloutState, after: RolloutState): string | null {
  const [wanted, present] = [before, after].map(replicasOf)
  if (wanted === undefined || present === undefined) return null
  if (wanted.inService.join() !== present.inService.join()) return 'processes in service'
  return wanted.wanted.join() === present.wanted.join() ? null : 'processes wanted'
}

/** Of the candidate, stable and a baseline. */
function replicasOf({ replicas, candidate, stable }: RolloutState) {
  const { rolling, baseline } = replicas
  return {
    wanted: [replicas.candidate, rolling?.stable ?? 0, baseline?.wanted ?? 0],
    inService: [candidate.endpoints.length, stable.endpoints.length, baseline?.endpoints.length ?? 0],
  }
}

function changeOfArms(before: Experiment | null, after: Experiment | null): string | null {
  if (before === null || after === null) return null
  if (before.isDealt !== after.isDealt) return 'arms dealt'
  if (before.fallen.length !== after.fallen.length) return 'arm withdrawn'
  const released = ({ fallen }: Experiment) => fallen.filter(arm => arm.released).length
  return released(before) === released(after) ? null : 'arm released'
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
function keyOf(state: RolloutState): string {
  const { phase, cause, step, weightBp, mirrorPercent, lastDecision, withdrawnAt, experiment } = state
  return JSON.stringify([
    replicasOf(state),
    state.replicas.waitingSince === null,
    phase,
    cause,
    step,
    weightBp,
    mirrorPercent,
    lastDecision === null,
    withdrawnAt === null,
    experiment && [experiment.isDealt, experiment.main, experiment.winner, experiment.fallen.map(fallKey)],
  ])
}

function fallKey({ variant, released }: FallenArm): string {
  return `${variant} ${released}`
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
    candidate: {
      kind: 'ready',
      endpoints: instances(wantedBy(state).candidate),
      digest: state.candidate.digest,
    },
    stableProcess: {
      kind: 'ready',
      endpoints: instances(wantedBy(state).stable),
      digest: state.stable.digest,
    },
    baseline: { kind: 'ready', endpoints: instances(wantedBy(state).baseline), digest: state.stable.digest },
    arms: armsAre(state, arm => ({
      kind: 'ready',
      endpoints: [`http://127.0.0.1:${arm.variant}`],
      digest: arm.digest,
    })),
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

/** More than any version needs here. */
const endpoints = instances(9)

function instances(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `http://127.0.0.1:91${10 + index}`)
}

function wantedBy({ replicas }: RolloutState) {
  const { candidate, rolling, baseline } = replicas
  return { candidate, stable: rolling?.stable ?? 1, baseline: baseline?.wanted ?? 1 }
}

/** What is waited for beside the candidate does not come, or never will. */
function differencesOfReplicas({ replicas }: RolloutState): readonly Partial<Observation>[] {
  const found: readonly DeploymentStatus[] = [
    { kind: 'starting', endpoints, reason: 'loading' },
    { kind: 'refused', endpoints, reason: 'the digest differs' },
    { kind: 'ready', endpoints, digest: 'sha256:other' },
  ]
  return [
    ...(replicas.rolling ? found.map(stableProcess => ({ stableProcess })) : []),
    ...(replicas.baseline ? found.map(baseline => ({ baseline })) : []),
  ]
}
const metric = { name: 'gpu-errors', value: 1, reason: 'gpu-errors is 1' }

function armsAre(
  { experiment }: RolloutState,
  status: (arm: Arm) => DeploymentStatus,
): NonNullable<Observation['arms']> {
  return Object.fromEntries((experiment?.others ?? []).map(arm => [arm.variant, status(arm)]))
}

/** Of an experiment: an arm wins, loses or is ejected for good; a further version is not, or never, ready. */
function differencesOfArms(state: RolloutState): readonly Partial<Observation>[] {
  const { experiment } = state
  if (experiment === null) return []
  const of = (variant: string): Partial<Observation>[] => [
    { decision: decision('advance', { winner: variant }) },
    { decision: decision('hold', { lost: variant }) },
    { ejections: { [variant]: { action: 'withdraw', cause: 'unavailable', reason: 'three trials failed' } } },
  ]
  const weights = { candidate: 3000, 'arm-3': 1000 }
  const policyVersion = (state.policyVersion ?? 0) + 1
  return [
    ...standingVariants(state).flatMap(of),
    { arms: armsAre(state, () => ({ kind: 'starting', endpoints: [], reason: 'loading' })) },
    { arms: armsAre(state, () => ({ kind: 'refused', endpoints: [], reason: 'the digest differs' })) },
    { arms: armsAre(state, () => ({ kind: 'ready', endpoints, digest: 'sha256:other' })) },
    { policyVersion, policyAsWanted: false, policyWeightBp: 3000, policyWeightsBp: weights },
  ]
}

function differences(state: RolloutState): readonly Partial<Observation>[] {
  const { policyVersion: own, step } = state
  const policyVersion = (own ?? 0) + 1
  const asked = { reason: null, answeredAt: 1 }
  const steps = [
    new Map([[step, { ...asked, passed: true, attempts: 1 }]]),
    new Map([[step, { ...asked, passed: false, attempts: 1 }]]),
    new Map([[step, { ...asked, passed: false, attempts: 1000 }]]),
  ]
  return [
    ...DIFFERENCES,
    ...differencesOfArms(state),
    ...differencesOfReplicas(state),
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

function decision(
  action: Decision['action'],
  { winner = null, lost }: { readonly winner?: string | null; readonly lost?: string } = {},
): Decision {
  const exposure = { stable: 1000, candidate: 1000 }
  const figures = { successes: 1, trials: 2, better: 1, worse: 1, harm: 1, requests: 1000 }
  const arms =
    lost === undefined ? [] : [{ variant: lost, verdict: 'worse', cause: 'feedback', ...figures } as const]
  const experiment = { threshold: 40, control: { successes: 1, trials: 2, requests: 1000 }, arms, winner }
  return { t: 1, action, e: 1, threshold: 100, cause: null, u: 0.5, exposure, reason: 'because', experiment }
}
