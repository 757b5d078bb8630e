import { TERMINAL_PHASES, type Phase } from '../../contract/rollout.ts'
import type { Decision } from '../../contract/history.ts'
import type { MetricStanding } from '../judge/custom-metrics.ts'
import type { Experiment } from './arms.ts'
import type { LeftOver } from './arms-policy.ts'
import type { Gate } from './hook-gate.ts'
import type { Replicas } from './replicas.ts'

export type PauseCause =
  | 'operator'
  | 'approval'
  | 'pause-step'
  | 'manual-change'
  | 'deadline'
  | 'metric-error'
export type EndCause =
  | NonNullable<Decision['cause']>
  | 'operator'
  | 'deadline'
  | 'not-ready'
  | 'unavailable'
  | 'metric'
  | 'hook'
  | 'superseded'

export interface Placement {
  readonly version: string
  readonly digest: string
  readonly endpoints: readonly string[]
}

/** All that is remembered of a rollout between two looks. Written to the store before anything is done about it. */
export interface RolloutState {
  readonly phase: Phase
  readonly model: string
  /** Why it is paused, was withdrawn or ended; null while nothing is to be explained. */
  readonly cause: PauseCause | EndCause | null
  /** One sentence for the operator on where it stands. */
  readonly message: string
  /** Index into the steps; their number when all are done. */
  readonly step: number
  /** When this step began, ms since the epoch; null before the first. */
  readonly stepSince: number | null
  /** The candidate's weight that is wanted, in hundredths of a percent. */
  readonly weightBp: number
  /** Counts within this time after a weight change are left aside: requests sent before it still complete. */
  readonly settleSeconds: number
  /** What a mirror step asked for; null leaves the route's mirror as the operator set it. */
  readonly mirrorPercent: number | null
  /** Whose requests a step gave to the candidate at any weight; null: the operator's own routes are left as they are. */
  readonly headerRoute: HeaderRoute | 'off' | null
  /** How far stop and start have come, where versions do not fit side by side; null: they do. */
  readonly recreation: Recreation | null
  /** Arms that users decide between; null: this is no experiment. */
  readonly experiment: Experiment | null
  /** Of the rollout that made room for this one; null: nothing is left of it. */
  readonly leftOver: LeftOver | null
  /** What runs on of the rollout that made room, with the processes that it is to go back to; null: nothing, or this one's own. */
  readonly enlarged: Enlarged | null
  /** Candidate requests that had been judged when this step began. */
  readonly requestsBeforeStep: number
  /** The version that answers now, and that answers again if this rollout is withdrawn. */
  readonly stable: Placement
  /** Its endpoints are empty until the candidate is deployed. */
  readonly candidate: Placement
  /** The deployment that is the candidate; `own`: made by this rollout, and stopped when it is withdrawn. */
  readonly deployment: { readonly id: string; readonly own: boolean }
  /** How many processes the versions have, and are to have. */
  readonly replicas: Replicas
  /** What the candidate variant pointed to before, and points to again when this rollout is withdrawn. */
  readonly previousCandidateEndpoints: readonly string[]
  /** The policy version that this rollout wrote or accepted last; null before its first. */
  readonly policyVersion: number | null
  readonly startedAt: number
  /** The deadline counts from here: the start, or a resume after the deadline. */
  readonly deadlineFrom: number
  readonly endedAt: number | null
  /** When the decision to withdraw was taken and when every gateway worker had applied it; ms since the epoch. */
  readonly withdrawnAt: number | null
  readonly lastDecision: Decision | null
  /** What is still to come, at the traffic of late; null while that is not known. */
  readonly outlook: Outlook | null
  /** The time that the whole was expected to take when that could first be said; null until then. */
  readonly expectation: Expectation | null
  readonly warnings: readonly Warning[]
  /** The team's own metrics at the last look. */
  readonly metrics: readonly MetricStanding[]
  /** A move that was decided and waits for webhooks to agree. */
  readonly gate: Gate | null
}

export interface Enlarged {
  /** The deployment. */
  readonly id: string
  readonly wanted: number
}

export interface Recreation {
  /** The deployment that is stable, and is started again by a rollback. */
  readonly stableId: string
  /** What answers are to carry; null: nothing. */
  readonly notice: string | null
  /** As it was announced: not before this; ms since the epoch. */
  readonly interruptionAt?: number
  /** Who answers: the old version, nobody, the new one. */
  readonly stage: 'old' | 'closed' | 'new'
  /** The gap, or the one of the rollback, as every gateway worker had it; ms since the epoch. */
  readonly closedAt: number | null
  readonly openedAt: number | null
  /** The first gap, where a rollback made a second one. */
  readonly earlierGapMs?: number
}

export interface HeaderRoute {
  readonly header: string
  readonly value: string
}

export interface Outlook {
  /** To the route, all variants together. */
  readonly requestsPerSecond: number
  /** What the present weight waits for; null where no evidence is waited for. */
  readonly next: NextWeight | null
  /** Until the last step is done, beside what persons take; null: never at this traffic. */
  readonly seconds: number | null
  /** A step that waits for a person, for a time that is not counted, comes before the end. */
  readonly needsPerson: boolean
}

export interface NextWeight {
  readonly weightPercent: number
  /** The excess to be ruled out before, a fraction. */
  readonly excess: number
  /** How many more it takes; null: it cannot be shown at this traffic. */
  readonly candidateRequests: number | null
  readonly seconds: number | null
}

export interface Expectation {
  readonly seconds: number | null
  readonly requestsPerSecond: number
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** Something that an operator should know at once, although the rollout goes on. */
export interface Warning {
  readonly name: 'budget-out-of-reach' | 'stable-is-out'
  readonly message: string
}

/** One process for everything, as every rollout was before versions had several. */
export const ONE_EACH: Replicas = {
  full: 1,
  least: 1,
  candidate: 1,
  waitingSince: null,
  rolling: null,
  baseline: null,
}

/** What states lack that an earlier Weir wrote. */
export const LATER_FIELDS = {
  outlook: null,
  expectation: null,
  warnings: [],
  metrics: [],
  gate: null,
  headerRoute: null,
  recreation: null,
  experiment: null,
  leftOver: null,
  enlarged: null,
  replicas: ONE_EACH,
} as const

export function isStableOut({ warnings }: RolloutState): boolean {
  return warnings.some(({ name }) => name === 'stable-is-out')
}

/** Users are told of an interruption to come. */
export function isAnnounced({ recreation }: RolloutState): boolean {
  return recreation !== null && recreation.notice !== null
}

/** The first version of a route has nothing to be compared with, and nothing to go back to. */
export function isFirst({ stable }: Partial<Pick<RolloutState, 'stable'>>): boolean {
  return stable?.endpoints.length === 0
}

/**
 * Where a rollout stands, as far as a person's verb depends on it: a verb given with If-Match is refused once this has changed.
 * Evidence, sentences, forecasts, processes and the weight within a step change at every look, and change nothing about it.
 */
export function standOf({ phase, cause, step, gate, recreation, experiment, ...state }: RolloutState) {
  return {
    phase,
    cause,
    step,
    gate: gate && { type: gate.type, move: gate.move },
    interruption: recreation && recreation.stage,
    fallen: experiment && experiment.fallen.map(({ variant }) => variant),
    winner: experiment && experiment.winner,
    candidate: state.candidate.digest,
    warnings: state.warnings.map(({ name }) => name),
  }
}

export function isOver(state: RolloutState): boolean {
  return TERMINAL_PHASES.has(state.phase)
}

/** Whether the candidate may have live traffic, so that its counts are to be judged. */
export function isJudged(state: Pick<RolloutState, 'phase'>): boolean {
  return state.phase === 'Progressing' || state.phase === 'Paused'
}
