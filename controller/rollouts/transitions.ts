import type { Phase } from '../../contract/rollout.ts'
import { crown } from './arms.ts'
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

/** Takes all traffic off the candidate. Whatever else was going on, this goes first. */
export function withdraw(state: RolloutState, cause: EndCause, message: string, now: number): RolloutState {
  return {
    ...state,
    phase: 'RollingBack',
    cause,
    message,
    weightBp: 0,
    mirrorPercent: mirrorOff(state),
    headerRoute: headerRouteOff(state),
    withdrawnAt: now,
  }
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
