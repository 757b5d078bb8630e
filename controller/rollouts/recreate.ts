import type { Observation } from './rollout-machine.ts'
import type { Recreation, RolloutState } from './rollout-state.ts'
import type { StepView } from './steps.ts'
import { enterStep, withdraw } from './transitions.ts'

// Where two versions do not fit side by side: the old one stops before the new one starts, and the gap is answered with 503.

/** An old version drains for up to 15 seconds; a new one has two minutes. */
const GAP_LIMIT_MS = 135_000

export function announce(
  state: RolloutState,
  { notice, durationMs }: StepView<'announce'>,
  now: number,
): RolloutState {
  const interruptionAt = now + durationMs
  const message = `interruption not before ${new Date(interruptionAt).toISOString()}: ${notice}`
  return withRecreation({ ...state, message }, { notice, interruptionAt })
}

/** Traffic before capacity: the route is closed in every worker before anything stops. */
export function close(state: RolloutState, now: number): RolloutState {
  if (state.recreation?.stage === 'old')
    return withRecreation({ ...state, message: 'closing the route' }, { stage: 'closed', notice: null })
  const closed = state.recreation?.closedAt ?? now
  return enterStep(withRecreation(state, { closedAt: closed }), state.step + 1, now)
}

/** In the gap: the old version ends, then the new one starts; it takes all traffic when exactly it answers. */
export function replace(state: RolloutState, { candidate, now }: Observation): RolloutState {
  const { version, digest } = state.candidate
  if (candidate.kind === 'ready' && candidate.digest === digest) {
    const placed = { ...state.candidate, endpoints: candidate.endpoints }
    const open = withRecreation({ ...state, candidate: placed, weightBp: 10_000 }, { stage: 'new' })
    return enterStep(
      { ...open, message: `version ${version} is ready, opening the route` },
      state.step + 1,
      now,
    )
  }
  const notReady = (why: string) => withdraw(state, 'not-ready', why, now)
  if (candidate.kind === 'ready')
    return notReady(`the candidate answers with ${candidate.digest}, not ${digest}`)
  if (candidate.kind === 'refused') return notReady(`version ${version} is refused: ${candidate.reason}`)
  const reason = candidate.kind === 'starting' ? candidate.reason : 'the old version is stopping'
  if (now - (state.stepSince ?? now) > GAP_LIMIT_MS)
    return notReady(`version ${version} was not ready within ${GAP_LIMIT_MS / 1000} s: ${reason}`)
  return { ...state, message: `the route is closed, waiting for version ${version}: ${reason}` }
}

/** A rollback out of the gap, or from after it, starts the old version again before the route is opened. */
export function bringBack(state: RolloutState, { stableProcess, now }: Observation): RolloutState {
  if (stableProcess?.kind !== 'ready' || stableProcess.digest !== state.stable.digest) return state
  const stable = { ...state.stable, endpoints: stableProcess.endpoints }
  return withRecreation({ ...state, stable }, { stage: 'old', openedAt: now })
}

/** When every worker has opened the route, and closed it again before a rollback exchanges the versions once more. */
export function noteGap(state: RolloutState, { policyAsWanted, now }: Observation): RolloutState {
  const { recreation, phase } = state
  if (recreation?.stage !== 'new' || !policyAsWanted) return state
  if (phase === 'RollingBack') return withRecreation(state, closedAgain(recreation, now))
  return recreation.openedAt === null ? withRecreation(state, { openedAt: now }) : state
}

function closedAgain({ closedAt, openedAt }: Recreation, now: number): Partial<Recreation> {
  if (closedAt === null || openedAt === null) return { stage: 'closed' } // not every worker had opened it: one gap
  return { stage: 'closed', earlierGapMs: openedAt - closedAt, closedAt: now, openedAt: null }
}

/** The new version is not there beside the old one, or the old one not beside the new. */
export function isApart({ recreation }: RolloutState): boolean {
  return recreation !== null && recreation.stage !== 'old'
}

function withRecreation(state: RolloutState, change: Partial<Recreation>): RolloutState {
  return state.recreation === null ? state : { ...state, recreation: { ...state.recreation, ...change } }
}
