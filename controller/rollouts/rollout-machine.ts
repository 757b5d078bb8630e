import type { Decision } from '../../contract/history.ts'
import type { Phase, RolloutSpec } from '../../contract/rollout.ts'
import type { EjectionRuling } from '../judge/ejection.ts'
import type { MetricStanding } from '../judge/custom-metrics.ts'
import type { DeploymentStatus } from '../runtime/runtime.ts'
import { whichFall, withdrawArms, type Falls } from './arm-falls.ts'
import { placeBaseline } from './baseline.ts'
import { capacityFirst } from './capacity-first.ts'
import { adoptWeights, hasUsers, placeArms, releaseFallen } from './arms.ts'
import { inWords } from './duration.ts'
import { whyStepFailed, type HookWords } from './hook-step.ts'
import { bringBack, isApart, noteGap } from './recreate.ts'
import { READY_LIMIT_MS, replicasForWeight } from './replicas.ts'
import { isReplaced, roll } from './rolling.ts'
import { isJudged, isOver, isStableOut, type EndCause, type RolloutState } from './rollout-state.ts'
import { currentStep } from './steps.ts'
import { enterStep, finish, judgedRequests, pausedFor, promote, withdraw } from './transitions.ts'
import { walkSteps } from './walk-steps.ts'

/** What was seen at one look; everything that the next state depends on, so that deciding needs no I/O. */
export interface Observation {
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Version of the policy in force, or null when the gateway could not be asked. */
  readonly policyVersion: number | null
  /** The policy in force is exactly what this state asks for. */
  readonly policyAsWanted: boolean
  /** The candidate's weight in the policy in force, in hundredths of a percent. */
  readonly policyWeightBp: number | null
  readonly candidate: DeploymentStatus
  /** Those of all variants; absent where the gateway could not be asked. */
  readonly policyWeightsBp?: Readonly<Record<string, number>> | undefined
  /** Where the further versions of an experiment are, by variant; absent where they were not asked. */
  readonly arms?: Readonly<Record<string, DeploymentStatus>> | undefined
  readonly baseline?: DeploymentStatus | undefined
  /** What ejections of the arms of an experiment mean, by variant. */
  readonly ejections?: Readonly<Record<string, EjectionRuling>> | undefined
  /** What the candidate's ejection by the gateway means; `none` while it takes requests. */
  readonly ejection: EjectionRuling
  /** The deployment that is stable, where it is stopped, started or replaced; absent where it was not asked. */
  readonly stableProcess?: DeploymentStatus | undefined
  /** Not one endpoint of stable takes requests; absent where that is not known. */
  readonly stableIsOut?: boolean | undefined
  /** The judge's word on this look; null when there is nothing to judge or no evidence came. */
  readonly decision: Decision | null
  /** Why the candidate gets no more traffic at this look, whatever else speaks for it. */
  readonly holds: readonly string[]
  /** What webhooks say that decide; absent where the rollout has none. */
  readonly hooks?: HookWords | undefined
  /** The team's own metrics at this look; empty where there was none. */
  readonly metrics: readonly MetricStanding[]
  /** Whether the evidence allows the candidate this weight (percent), within the share of users who may see the excess. */
  readonly allows: (weightPercent: number, riskBudget: number) => boolean
}

const WITHDRAWN_AS: Readonly<Record<string, Phase>> = { operator: 'Aborted', 'not-ready': 'Failed' }

/** The next state of a rollout. Pure: the same state and observation always give the same answer. */
export function nextState(state: RolloutState, seen: Observation, spec: RolloutSpec): RolloutState {
  if (isOver(state)) return state
  const { decision } = seen
  const judged = decision === null ? state : { ...state, lastDecision: decision, metrics: seen.metrics }
  const own = noteGap(noticePolicyChange(watchStable(judged, seen), seen), seen)
  switch (own.phase) {
    case 'Pending':
      return awaitCandidate(notBegun(own, seen.now), seen)
    case 'Promoting':
      return seen.policyAsWanted ? goOnPromoting(own, seen) : own
    case 'RollingBack':
      if (isApart(own)) return bringBack(own, seen)
      return seen.policyAsWanted ? goOnBack(own, seen) : own
    case 'Progressing':
    case 'Paused': {
      const released = seen.policyAsWanted ? releaseFallen(own) : own
      return capacityFirst(released, progress(released, seen, spec), seen)
    }
    default:
      return own
  }
}

/** A person may have asked for it before there were processes for all of the traffic. */
function goOnPromoting(state: RolloutState, seen: Observation): RolloutState {
  if (state.weightBp < 10_000) return capacityFirst(state, promote(state, state.message), seen)
  return finish(state, 'Promoted', seen.now)
}

/** What stable has lost comes back before the rollout ends, and so does what the candidate was before. */
function goOnBack(state: RolloutState, seen: Observation): RolloutState {
  if (isReplaced(state)) return roll(state, { ...state, weightBp: 0 }, seen).state
  const { candidate } = seen
  const left = candidate.kind === 'absent' || candidate.kind === 'stopping' ? 0 : candidate.endpoints.length
  if (!state.deployment.own && left > state.replicas.candidate) return state
  return finish(state, WITHDRAWN_AS[state.cause ?? ''] ?? 'RolledBack', seen.now)
}

/** While the start is not confirmed nothing runs: the time to become ready, and the deadline, count from the yes. */
function notBegun(state: RolloutState, now: number): RolloutState {
  return state.gate?.type === 'confirm-rollout' ? { ...state, stepSince: now, deadlineFrom: now } : state
}

/** A policy version that this rollout did not write pauses it; one that only says what was wanted anyway is its own. */
function noticePolicyChange(state: RolloutState, seen: Observation): RolloutState {
  if (seen.policyVersion === null || state.policyVersion === null) return state
  if (seen.policyVersion === state.policyVersion) return state
  const adopted = { ...state, policyVersion: seen.policyVersion }
  if (seen.policyAsWanted || !isJudged(state)) return adopted
  const message = `policy version ${seen.policyVersion} was written by somebody else; resume to go on from its weights`
  const weightBp = seen.policyWeightBp ?? state.weightBp
  return {
    ...pausedFor(adopted, 'manual-change', message),
    weightBp,
    replicas: replicasForWeight({ ...state, weightBp }),
    experiment: adoptWeights(state, seen.policyWeightsBp),
  }
}

function awaitCandidate(state: RolloutState, seen: Observation): RolloutState {
  const { candidate } = seen
  if (state.recreation !== null && seen.policyVersion !== null) {
    const message = `version ${state.candidate.version} starts when version ${state.stable.version} has stopped`
    return enterStep({ ...state, phase: 'Progressing', cause: null, message }, 0, seen.now)
  }
  if (candidate.kind === 'ready' && candidate.digest !== state.candidate.digest) {
    return withdraw(
      state,
      'not-ready',
      `the candidate answers with ${candidate.digest}, not ${state.candidate.digest}`,
      seen.now,
    )
  }
  const arms = placeArms(state, seen.arms)
  if (arms.kind === 'refused') return withdraw(state, 'not-ready', arms.reason, seen.now)
  const baseline = placeBaseline(state, seen.baseline)
  if (baseline.kind === 'never') return withdraw(state, 'not-ready', baseline.reason, seen.now)
  const isPlaced = candidate.kind === 'ready' && candidate.endpoints.length >= state.replicas.candidate
  if (isPlaced && seen.policyVersion !== null && arms.kind === 'ready' && baseline.kind === 'enough') {
    // one that runs already may have more, which are left as soon as the policy is in force
    const endpoints = candidate.endpoints.slice(0, state.replicas.candidate)
    const placed = {
      candidate: { ...state.candidate, endpoints },
      experiment: arms.experiment,
      replicas: baseline.replicas,
    }
    const message = `version ${state.candidate.version} is ready`
    return enterStep({ ...state, ...placed, phase: 'Progressing', cause: null, message }, 0, seen.now)
  }
  if (candidate.kind === 'refused')
    return withdraw(
      state,
      'not-ready',
      `version ${state.candidate.version} is refused: ${candidate.reason}`,
      seen.now,
    )
  const others = [arms, baseline].find(({ kind }) => kind === 'waiting')
  const othersReason = isPlaced && others && 'reason' in others ? others.reason : 'not deployed yet'
  const reason = candidate.kind === 'starting' ? candidate.reason : othersReason
  if (seen.now - (state.stepSince ?? state.startedAt) > READY_LIMIT_MS) {
    return withdraw(
      state,
      'not-ready',
      `version ${state.candidate.version} was not ready within ${READY_LIMIT_MS / 1000} s: ${reason}`,
      seen.now,
    )
  }
  return { ...state, message: `waiting for version ${state.candidate.version}: ${reason}` }
}

function progress(state: RolloutState, seen: Observation, spec: RolloutSpec): RolloutState {
  const { ejection, now } = seen
  const harm = whyWithdraw(seen) ?? hookThatWithdraws(state, seen, spec)
  if (harm) return withdrawUnlessStableIsOut(state, harm, now)
  const falls = whichFall(state, seen, isDecided(state, spec))
  if (falls) return letFall(state, falls, now)
  if (now - state.deadlineFrom > spec.onDeadline.after && state.cause !== 'deadline') {
    return overDeadline(state, seen, spec)
  }
  const unmeasured = seen.metrics.find(({ action }) => action === 'pause')
  if (unmeasured && (state.phase === 'Progressing' || state.cause === 'pause-step'))
    return pausedFor(state, 'metric-error', unmeasured.reason ?? unmeasured.name)
  if (ejection.action === 'hold') return { ...state, message: ejection.reason }
  if (state.phase === 'Paused') return leavePauseStep(state, seen, spec)
  if (!seen.policyAsWanted) return { ...state, message: 'waiting for the gateway to apply the weights' }
  return walkSteps(state, seen, spec)
}

interface Harm {
  readonly cause: EndCause
  readonly message: string
}

function whyWithdraw({ decision, ejection, metrics }: Observation): Harm | null {
  if (decision?.action === 'withdraw') return { cause: decision.cause ?? 'failure', message: decision.reason }
  if (ejection.action === 'withdraw') {
    return {
      cause: ejection.cause === 'unavailable' ? 'unavailable' : 'failure',
      message: ejection.reason,
    }
  }
  const failed = metrics.find(({ action }) => action === 'withdraw')
  return failed ? { cause: 'metric', message: failed.reason ?? failed.name } : null
}

function hookThatWithdraws(state: RolloutState, { hooks }: Observation, spec: RolloutSpec): Harm | null {
  if (hooks === undefined) return null
  if (hooks.rollbackAskedBy !== undefined)
    return { cause: 'hook', message: `webhook ${hooks.rollbackAskedBy} asked for it` }
  const view = currentStep(state, spec)
  const failed = view.kind === 'hook' ? whyStepFailed(state.step, view, hooks.steps.get(state.step)) : null
  return failed === null ? null : { cause: 'hook', message: failed }
}

function letFall(state: RolloutState, falls: Falls, now: number): RolloutState {
  if (falls.kind === 'all') return withdrawUnlessStableIsOut(state, falls, now)
  if (!isStableOut(state)) return withdrawArms(state, falls.arms)
  return {
    ...state,
    message: 'an arm is to be withdrawn; its users stay where they are, because stable is out',
  }
}

/** Users have decided, or somebody in their place: what is left to do is about the arm to be promoted. */
function isDecided(state: RolloutState, spec: RolloutSpec): boolean {
  const { kind } = currentStep(state, spec)
  return kind !== 'deal' && kind !== 'verdict'
}

/** A rollback must not send users into an outage: while stable is out, the candidate is the healthier side, or no worse. */
function withdrawUnlessStableIsOut(state: RolloutState, { cause, message }: Harm, now: number): RolloutState {
  if (!hasUsers(state) || !isStableOut(state)) return withdraw(state, cause, message, now)
  return { ...state, message: `${message}; the traffic stays where it is, because stable is out` }
}

/** Said for as long as it is so; an operator who aborts all the same has been warned. */
function watchStable(state: RolloutState, { stableIsOut }: Observation): RolloutState {
  if (stableIsOut === undefined || stableIsOut === isStableOut(state)) return state
  const others = state.warnings.filter(({ name }) => name !== 'stable-is-out')
  if (!stableIsOut) return { ...state, warnings: others }
  const message = 'not one endpoint of stable takes requests: a rollback would send users into an outage'
  return { ...state, warnings: [...others, { name: 'stable-is-out', message }] }
}

/**
 * A deadline without any evidence pauses and asks for a person: missing evidence never withdraws. A pause for somebody else's
 * weights stays one, since those stand until it is resumed.
 */
function overDeadline(state: RolloutState, seen: Observation, spec: RolloutSpec): RolloutState {
  const { after, do: action } = spec.onDeadline
  const limit = inWords(after / 1000)
  const noEvidence = judgedRequests(state) === 0
  if (action === 'rollback' && !noEvidence) {
    return withdrawUnlessStableIsOut(
      state,
      { cause: 'deadline', message: `not done within ${limit}` },
      seen.now,
    )
  }
  if (state.cause === 'manual-change') return state
  return pausedFor(state, 'deadline', `not done within ${limit}${noEvidence ? ', and no evidence came' : ''}`)
}

/** A pause step shows as the phase Paused; only what the step itself waits for ends it. */
function leavePauseStep(state: RolloutState, seen: Observation, spec: RolloutSpec): RolloutState {
  if (state.cause !== 'pause-step' || !seen.policyAsWanted) return state
  return walkSteps(state, seen, spec)
}
