import type { Phase } from '../../contract/rollout.ts'
import { crown } from './arms.ts'
import { isComplete, type Replicas } from './replicas.ts'
import { isReplaced } from './rolling.ts'
import type { EndCause, PauseCause, RolloutState } from './rollout-state.ts'

// What may become of a rollout, whoever decided it: the machine on evidence, or an operator.

/** Promotion exchanges the endpoints of the two variants in one policy: the new version is stable, the old one stays warm. */
export function promote(state: RolloutState, message: string): RolloutState {
  return {
    ...crown(state),
    phase: 'Promoting',
    cause: null,
    weightBp: 10_000,
    mirrorPercent: mirrorOff(state),
    headerRoute: headerRouteOff(state),
    message,
  }
}

/** A person need not wait for processes that a promotion takes: the traffic stays where it is until they are there. */
export function promoteWhenComplete(state: RolloutState, message: string): RolloutState {
  const promoted = promote(state, message)
  if (isComplete(promoted) || state.recreation !== null) return promoted
  const weightBp = state.experiment === null ? state.weightBp : 0 // its arms end with the decision
  return { ...state, phase: 'Promoting', cause: null, weightBp, message }
}

/**
 * Takes all traffic off the candidate. Whatever else was going on, this goes first. Where it has taken the places of stable's
 * processes, evidence gives the traffic back process by process, since what stable has left would break under all of it; what a
 * person decides is done at once.
 */
export function withdraw(state: RolloutState, cause: EndCause, message: string, now: number): RolloutState {
  return {
    ...state,
    phase: 'RollingBack',
    cause,
    message,
    weightBp: isReplaced(state) && cause !== 'operator' ? state.weightBp : 0,
    mirrorPercent: mirrorOff(state),
    headerRoute: headerRouteOff(state),
    replicas: withoutMore(state),
    withdrawnAt: now,
  }
}

/** What runs for somebody else goes back to what it was; more of anything is not waited for any more. */
function withoutMore(state: RolloutState): Replicas {
  const { replicas, deployment, candidate, previousCandidateEndpoints } = state
  const { length } = deployment.own ? candidate.endpoints : previousCandidateEndpoints
  return { ...replicas, candidate: length, waitingSince: null }
}

/** A mirror that a step of this rollout turned on ends with it; the operator's own is left alone. */
export function mirrorOff(state: RolloutState): 0 | null {
  return state.mirrorPercent === null ? null : 0
}

export function headerRouteOff({ headerRoute }: RolloutState): 'off' | null {
  return headerRoute === null ? null : 'off'
}

export function pausedFor(state: RolloutState, cause: PauseCause, message: string): RolloutState {
  return { ...state, phase: 'Paused', cause, message }
}

export function finish(state: RolloutState, phase: Phase, now: number): RolloutState {
  return { ...state, phase, endedAt: now }
}

/** Makes room: the newer rollout's first policy takes the traffic off this candidate. */
export function supersede(state: RolloutState, by: string, now: number): RolloutState {
  return finish(
    { ...state, cause: 'superseded', weightBp: 0, message: `superseded by ${by}` },
    'Superseded',
    now,
  )
}

export function enterStep(state: RolloutState, step: number, now: number): RolloutState {
  return { ...state, step, stepSince: now, requestsBeforeStep: judgedRequests(state) }
}

export function judgedRequests(state: RolloutState): number {
  return state.lastDecision?.exposure.candidate ?? 0
}
