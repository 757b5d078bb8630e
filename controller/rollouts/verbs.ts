import { WeirError } from '../../contract/errors.ts'
import type { RolloutSpec } from '../../contract/rollout.ts'
import { fallOf, promotedVariant } from './arms.ts'
import { isJudged, isOver, isStableOut, type RolloutState } from './rollout-state.ts'
import { planOf } from './strategies/plan.ts'
import { isReplaced } from './rolling.ts'
import { promoteWhenComplete, withdraw } from './transitions.ts'

export const VERBS = ['pause', 'resume', 'promote', 'skip-step', 'abort', 'approve', 'reject'] as const
export type Verb = (typeof VERBS)[number]

interface VerbContext {
  readonly spec: RolloutSpec
  readonly now: number
  readonly actor: string
  readonly reason?: string | undefined
}

/** What an operator's verb makes of a rollout. Throws `conflict` where the verb has no meaning. Pure. */
export function applyVerb(verb: Verb, state: RolloutState, context: VerbContext): RolloutState {
  if (isOver(state)) throw new WeirError('conflict', `the rollout is over (${state.phase})`)
  const { now, actor, spec, reason } = context
  switch (verb) {
    case 'abort':
    case 'reject':
      return state.phase === 'RollingBack' && state.weightBp === 0
        ? state
        : withdraw(
            state,
            'operator',
            `${verb === 'abort' ? 'aborted' : 'rejected'} by ${actor}${warned(state)}${reason === undefined ? '' : `: ${reason}`}`,
            now,
          )
    case 'pause':
      requireJudged(verb, state)
      if (state.cause !== null && LASTS_UNTIL_RESUMED.has(state.cause)) return state
      return { ...state, phase: 'Paused', cause: 'operator', message: `paused by ${actor}` }
    case 'resume':
      requirePaused(verb, state, cause => cause !== 'approval')
      return resumed(state, state.cause === 'pause-step' ? state.step + 1 : state.step, context)
    case 'approve':
      requirePaused(verb, state, cause => cause === 'approval')
      requireStanding(state)
      return resumed(state, state.step + 1, context)
    case 'skip-step':
      requireJudged(verb, state)
      if (state.step >= planOf(spec, state).steps.length)
        throw new WeirError('conflict', 'there is no step left to skip')
      requireStanding(state)
      return resumed(state, state.step + 1, context)
    case 'promote':
      if (state.phase === 'Promoting') return state // a second promote changes nothing
      requireJudged(verb, state)
      requireStanding(state)
      return promoteWhenComplete(state, `promoted by ${actor}`)
  }
}

/**
 * Pauses that end with a resume alone. With another cause the next look would overwrite the weights that somebody else set, or
 * pause for the same reason again, which would be another alert.
 */
const LASTS_UNTIL_RESUMED: ReadonlySet<RolloutState['cause']> = new Set(['manual-change', 'deadline'])

/** What an operator decides is obeyed, and said what it does. */
function warned(state: RolloutState): string {
  if (isStableOut(state)) return ', although stable is out: users are sent into its outage'
  if (!isReplaced(state)) return ''
  const { stable, replicas } = state
  return `, although stable has ${stable.endpoints.length} of ${replicas.full} processes until the others are back`
}

function resumed(state: RolloutState, step: number, { now, actor }: VerbContext): RolloutState {
  const stepSince = step === state.step ? state.stepSince : now
  const deadlineFrom = state.cause === 'deadline' ? now : state.deadlineFrom
  return {
    ...state,
    phase: 'Progressing',
    cause: null,
    step,
    stepSince,
    deadlineFrom,
    message: `resumed by ${actor}`,
  }
}

function requireJudged(verb: Verb, state: RolloutState): void {
  if (!isJudged(state)) throw new WeirError('conflict', `cannot ${verb} a rollout that is ${state.phase}`)
}

/** Without a winner it is the rollout's own version that is promoted, and that may have been withdrawn. */
function requireStanding({ experiment }: RolloutState): void {
  const fall = experiment && fallOf(experiment, promotedVariant(experiment))
  if (fall) throw new WeirError('conflict', `${fall.variant} was withdrawn (${fall.message})`)
}

function requirePaused(
  verb: Verb,
  state: RolloutState,
  allowed: (cause: RolloutState['cause']) => boolean,
): void {
  if (state.phase === 'Paused' && allowed(state.cause)) return
  throw new WeirError(
    'conflict',
    `cannot ${verb} a rollout that is ${state.phase}${state.cause ? ` (${state.cause})` : ''}`,
  )
}
