import { inShares } from '../judge/experiment.ts'
import type { Experiment } from './arms.ts'
import { armViews, type ArmView } from './arms-view.ts'
import { isOver, type RolloutState } from './rollout-state.ts'

/** How each arm of an experiment does, and what that can say; nothing where there is none. */
export function explainArms(state: RolloutState): readonly string[] {
  const arms = armViews(state)
  const { experiment } = state
  if (experiment === null || arms.length === 0) return []
  return [
    ...arms.map(explainArm),
    ...(experiment.others.length > 0 ? whatIsProven(experiment, isOver(state)) : []),
    ...(isOver(state) || experiment.by === null ? [] : [notRandomised(experiment.by)]),
  ]
}

/** Of several arms the one that wins need not be the best. */
function whatIsProven({ winner }: Experiment, isEnded: boolean): readonly string[] {
  if (winner !== null) return [`${winner} is proven better than stable, not better than the other arms`]
  if (isEnded) return []
  return [
    'each arm is compared with stable, not with the others: the first that is proven better wins, of several at one look the one with the most evidence',
  ]
}

function explainArm(arm: ArmView): string {
  const who = `${arm.variant} (version ${arm.version}${shareOf(arm)})`
  const told = arm.trials === 0 ? 'nothing was told yet' : inShares(arm)
  if (arm.standing === 'control') return `${who}, the control: ${told}`
  if (arm.standing === 'withdrawn')
    return `${who} is withdrawn (${arm.cause}), stable's version answers its users: ${arm.message}`
  const evidence = [
    `evidence that it is better ${round(arm.better)} and that it is worse ${round(arm.worse)} of ${round(arm.threshold)}`,
    `of harm ${round(arm.harm)} of ${round(arm.harmThreshold)}, on ${arm.requests} requests`,
  ].join(', ')
  const ended = ENDED[arm.standing] ?? ''
  return arm.better === null ? `${who}${ended}: ${told}` : `${who}${ended}: ${told}; ${evidence}`
}

const ENDED: Partial<Record<ArmView['standing'], string>> = { winner: ' has won', lost: ' has not won' }

function shareOf({ weight, values }: ArmView): string {
  if (values === null) return weight === null ? '' : `, ${weight} %`
  return values.length > 0 ? `, ${values.join(', ')}` : ', everybody else'
}

function notRandomised({ header }: { readonly header: string }): string {
  return `who gets which version is said by ${header} and not drawn: users who differ in it may differ in what they do, whichever version they get`
}

function round(value: number | null): string {
  if (value === null) return 'unknown'
  return value >= 1e6 ? value.toExponential(1) : String(Number(value.toPrecision(3)))
}
