import type { SplitBy } from '../../contract/policy.ts'
import type { Decision } from '../../contract/history.ts'
import type { DeploymentStatus } from '../runtime/runtime.ts'
import { replicasFor } from './replicas.ts'
import { isJudged, type EndCause, type Placement, type RolloutState } from './rollout-state.ts'

// An experiment's arms: the candidate, and further versions in variants of their own. What may become of each. Pure.

export interface Arm extends Placement {
  readonly variant: string
  readonly deployment: RolloutState['deployment']
  /** Its wanted share of users in hundredths of a percent; 0 where a header decides. */
  readonly weightBp: number
}

/** A version beside the rollout's own. */
export interface FurtherArm extends Arm {
  /** How many processes carry its share; a header may give it any share. */
  readonly replicas: number
}

/** An arm that was withdrawn while others went on: its users are answered by stable's version, in the variant that they have. */
export interface FallenArm {
  readonly variant: string
  readonly cause: EndCause
  readonly message: string
  /** No worker sends its version requests any more, so that it was stopped. */
  readonly released: boolean
}

export interface Experiment {
  /** Who gets which arm by a header; null: the route's sticky key and weights say. */
  readonly by: SplitBy | null
  readonly isDealt: boolean
  /** The variant of the rollout's own version; the winner's once it takes that version's place. */
  readonly main: string
  readonly others: readonly FurtherArm[]
  readonly fallen: readonly FallenArm[]
  readonly winner: string | null
}

/** All arms, the rollout's own first. */
export function armsOf(
  state: Pick<RolloutState, 'experiment' | 'candidate' | 'deployment' | 'weightBp'>,
): readonly Arm[] {
  const { experiment, candidate, deployment, weightBp } = state
  if (experiment === null) return []
  return [{ variant: experiment.main, ...candidate, deployment, weightBp }, ...experiment.others]
}

export function fallOf({ fallen }: Experiment, variant: string): FallenArm | undefined {
  return fallen.find(one => one.variant === variant)
}

/** Arms that were withdrawn between two states. */
export function newlyFallen(
  before: Pick<RolloutState, 'experiment'> | undefined,
  { experiment }: Pick<RolloutState, 'experiment'>,
): readonly FallenArm[] {
  const known = before?.experiment ?? null
  return (experiment?.fallen ?? []).filter(({ variant }) => known === null || !fallOf(known, variant))
}

export function standingVariants(state: RolloutState): readonly string[] {
  return armsOf(state)
    .map(({ variant }) => variant)
    .filter(variant => state.experiment !== null && fallOf(state.experiment, variant) === undefined)
}

export function isDealt({ weightBp, experiment }: RolloutState, wantedBp: number): boolean {
  return weightBp === wantedBp && (experiment === null || experiment.isDealt)
}

/** Users come to all arms in one policy. */
export function deal(state: RolloutState, weightBp: number): RolloutState {
  const { experiment } = state
  const dealt = { ...state, weightBp, experiment: experiment && { ...experiment, isDealt: true } }
  const shares = armsOf(dealt).map(arm => `${arm.variant} ${arm.weightBp / 100} %`)
  const message = experiment?.by ? `dealing users by ${experiment.by.header}` : `weight: ${shares.join(', ')}`
  return { ...dealt, message }
}

/** The candidate or any other arm has users, or may have. */
export function hasUsers({ weightBp, experiment }: RolloutState): boolean {
  return weightBp > 0 || (experiment?.isDealt ?? false)
}

/** Goes on from the weights that somebody else wrote: what they take is started at once. */
export function adoptWeights(
  { experiment, replicas: { full } }: Pick<RolloutState, 'experiment' | 'replicas'>,
  weightsBp: Readonly<Record<string, number>> | undefined,
): Experiment | null {
  if (experiment === null || weightsBp === undefined || experiment.by !== null) return experiment
  const others = experiment.others.map(arm => {
    const weightBp = weightsBp[arm.variant] ?? 0
    const need = replicasFor(weightBp, { full, least: 1 })
    return { ...arm, weightBp, replicas: Math.max(arm.endpoints.length, need) }
  })
  return { ...experiment, others }
}

export function recordWinner(state: RolloutState, { experiment: standings }: Decision): RolloutState {
  if (state.experiment === null || !standings?.winner) return state
  return { ...state, experiment: { ...state.experiment, winner: standings.winner } }
}

/** Which arm a promotion makes stable: the winner, or without one the rollout's own version. */
export function promotedVariant({ main, winner }: Experiment): string {
  return winner ?? main
}

/** The winner takes the place of the rollout's own version, which becomes one of the others. */
export function crown(state: RolloutState): RolloutState {
  const { experiment } = state
  const winner = armsOf(state).find(({ variant }) => experiment && variant === promotedVariant(experiment))
  if (experiment === null || winner === undefined || winner.variant === experiment.main) return state
  const { version, digest, endpoints, deployment } = winner
  const own = {
    ...state.candidate,
    variant: experiment.main,
    deployment: state.deployment,
    weightBp: state.weightBp,
    replicas: state.replicas.candidate,
  }
  const others = [own, ...experiment.others.filter(arm => arm.variant !== winner.variant)]
  return {
    ...state,
    candidate: { version, digest, endpoints },
    deployment,
    experiment: { ...experiment, main: winner.variant, others },
  }
}

/** Of arms whose version gets no more requests in any worker, so that it may stop. */
export function releaseFallen(state: RolloutState): RolloutState {
  const { experiment } = state
  if (!experiment?.fallen.some(({ released }) => !released)) return state
  const fallen = experiment.fallen.map(one => ({ ...one, released: true }))
  return { ...state, experiment: { ...experiment, fallen } }
}

/** Those that stand and have fewer processes than they are to have, until users have decided. */
export function lackingArms(state: Pick<RolloutState, 'experiment' | 'phase'>): readonly FurtherArm[] {
  const { experiment, phase } = state
  if (experiment === null || !(phase === 'Pending' || isJudged(state))) return []
  return experiment.others.filter(
    ({ variant, endpoints, replicas }) => endpoints.length < replicas && !fallOf(experiment, variant),
  )
}

export type Readiness =
  | { readonly kind: 'ready'; readonly experiment: Experiment | null }
  | { readonly kind: 'waiting' | 'refused'; readonly reason: string }

/** Whether every further version answers as exactly what it should be; then with the places where they do. */
export function placeArms(
  { experiment }: RolloutState,
  statuses: Readonly<Record<string, DeploymentStatus>> = {},
): Readiness {
  if (experiment === null) return { kind: 'ready', experiment }
  const others: FurtherArm[] = []
  for (const arm of experiment.others) {
    const status = statuses[arm.variant] ?? NOT_ASKED
    const version = `version ${arm.version}`
    if (status.kind === 'refused')
      return { kind: 'refused', reason: `${version} is refused: ${status.reason}` }
    if (status.kind === 'starting') return { kind: 'waiting', reason: `${version}: ${status.reason}` }
    if (status.kind !== 'ready' || status.endpoints.length < arm.replicas)
      return { kind: 'waiting', reason: `${version}: not deployed yet` }
    if (status.digest !== arm.digest)
      return { kind: 'refused', reason: `${arm.variant} answers with ${status.digest}, not ${arm.digest}` }
    others.push({ ...arm, endpoints: status.endpoints.slice(0, arm.replicas) })
  }
  return { kind: 'ready', experiment: { ...experiment, others } }
}

const NOT_ASKED: DeploymentStatus = { kind: 'absent' }
