import type { ArmStanding, Decision } from '../../contract/history.ts'
import { inShares } from '../judge/experiment.ts'
import { promotedVariant, standingVariants, type FallenArm } from './arms.ts'
import type { Observation } from './rollout-machine.ts'
import type { EndCause, RolloutState } from './rollout-state.ts'

/** What becomes of an experiment in which arms are to be withdrawn. */
export type Falls =
  /** These alone; the others go on. */
  | { readonly kind: 'arms'; readonly arms: readonly FallenArm[] }
  /** The whole, for what the last of them did. */
  | { readonly kind: 'all'; readonly cause: EndCause; readonly message: string }

/**
 * Arms that users do worse with, or that do them harm, go by themselves. The whole goes where none would be left; where the arm is
 * the one to be promoted; and where somebody else's policy stands, which only a withdrawal of the whole may overwrite.
 */
export function whichFall(state: RolloutState, seen: Observation, isDecided: boolean): Falls | null {
  const { experiment } = state
  if (experiment === null) return null
  const standing = standingVariants(state)
  const arms = standing.flatMap(variant => whyItFalls(variant, seen) ?? [])
  const last = arms.at(-1)
  if (last === undefined) return null
  const promoted = arms.find(({ variant }) => isDecided && variant === promotedVariant(experiment))
  const decisive = promoted ?? last
  const isAll = arms.length === standing.length || promoted !== undefined || state.cause === 'manual-change'
  return isAll ? { kind: 'all', cause: decisive.cause, message: decisive.message } : { kind: 'arms', arms }
}

/** The others keep their users, and the withdrawn arm's are answered by stable's version from the next policy on. */
export function withdrawArms(state: RolloutState, arms: readonly FallenArm[]): RolloutState {
  const { experiment } = state
  if (experiment === null) return state
  const message = arms.map(arm => arm.message).join('; ')
  return { ...state, experiment: { ...experiment, fallen: [...experiment.fallen, ...arms] }, message }
}

function whyItFalls(variant: string, { decision, ejections }: Observation): FallenArm | null {
  const standing = decision?.experiment?.arms.find(arm => arm.variant === variant)
  if (decision && standing && standing.cause !== null)
    return { variant, cause: standing.cause, message: inWords(standing, decision), released: false }
  const ruling = ejections?.[variant]
  if (ruling?.action !== 'withdraw') return null
  const cause = ruling.cause === 'unavailable' ? 'unavailable' : 'failure'
  return { variant, cause, message: ruling.reason, released: false }
}

function inWords(arm: ArmStanding, { experiment, threshold }: Decision): string {
  const { variant, verdict, cause, harm } = arm
  if (verdict === 'harm')
    return `${variant} does harm (${cause}): evidence ${harm.toPrecision(3)} of the ${threshold} that withdraw it`
  const stable = experiment ? `, of stable ${inShares(experiment.control)}` : ''
  return `users do worse with ${variant}: ${inShares(arm)}${stable}`
}
