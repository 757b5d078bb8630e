import type { EnvironmentName, GatesRun, How } from '../../contract/environment.ts'
import type { GateResult } from '../../contract/gate.ts'
import type { RoutePolicy } from '../../contract/policy.ts'

/** One version where it runs. */
export interface Placement {
  readonly version: string
  readonly digest: string
  /** Null: something that this controller did not start. */
  readonly deployment: string | null
  /** Empty until it is ready. */
  readonly endpoints: readonly string[]
}

/** What an environment runs; `revision` tells one deployment of a version from another of the same. */
export interface Running extends Placement {
  readonly revision: number
}

export interface Warm extends Running {
  /** Milliseconds since the epoch. */
  readonly until: number
}

/**
 * `starting`: not ready yet, nothing changed. `switching`: the routes lead to it, and it has yet to answer there. `aliasing`:
 * exactly it answered, the alias moves. `returning`: it is given up, the routes lead back.
 */
export type Stage = 'starting' | 'switching' | 'aliasing' | 'returning'

export interface Deploying {
  readonly kind: 'deploy'
  readonly revision: number
  readonly how: How
  readonly actor: string
  readonly reason: string
  readonly stage: Stage
  /** When the stage began, ms since the epoch. */
  readonly since: number
  readonly target: Placement
  /** Why it counts as seen good once it is verified; null: its gates have yet to say. */
  readonly good: string | null
  /** What the public candidate led to before; null: nothing was switched. */
  readonly candidateBefore: readonly string[] | null
  /** The same of its stable, with the weights of all variants. */
  readonly stableBefore: StableBefore | null
  /** Why it is given up. */
  readonly failure: string | null
  /** Which gate a version fails that will never be ready. */
  readonly gate: GateResult | null
  /** A return that is tried again if it comes to nothing, and who decided it; null: one try. */
  readonly returns: Decider | null
}

export interface StableBefore {
  readonly endpoints: readonly string[]
  /** Percent by variant. */
  readonly weights: Readonly<Record<string, number>>
}

interface Decider {
  readonly actor: string
  readonly reason: string
}

/** The version that was good could not be returned to yet. */
export interface PendingReturn extends Decider {
  /** The deployment that is to be left; where another one has taken its place, nothing is to be done any more. */
  readonly from: number
  readonly version: string
  /** How many have failed. */
  readonly tries: number
  /** Ms since the epoch; null: given up. */
  readonly nextAt: number | null
}

/** To whom the candidate's place is lent, and what is to be so again. */
export interface Lent {
  readonly endpoints: readonly string[]
  /** Of the live requests that are copied. */
  readonly percent: number
  readonly mirrorBefore: RoutePolicy['mirror'] | null
}

/** There is nothing good to return to: the environment stops. */
export interface Closing {
  readonly kind: 'close'
  readonly revision: number
  readonly actor: string
  readonly reason: string
}

/** All that is remembered of an environment between two looks; written to the store before anything is done about it. */
export interface EnvironmentState {
  readonly name: EnvironmentName
  readonly model: string
  /** Of the newest deployment that was begun. */
  readonly revision: number
  readonly current: Running | null
  /** What is under way. While there is something nothing else can begin: the environment's lock. */
  readonly work: Deploying | Closing | null
  readonly warm: readonly Warm[]
  readonly pendingReturn: PendingReturn | null
  /** Of canary: the public candidate's place while copies of live requests go to another version there. */
  readonly lent: Lent | null
  /** Why what the public route leads to is not followed; null: it is what runs here, or nothing. */
  readonly held: string | null
  readonly message: string
}

/** What was deployed once, for as long as the environment is remembered. Times in ms since the epoch. */
export interface HistoryEntry extends Running {
  readonly how: How
  readonly actor: string
  readonly reason: string
  readonly at: number
  readonly verifiedAt: number | null
  readonly goodAt: number | null
  /** Why it counts as good. */
  readonly goodBy: string | null
  /** Why it is not to be returned to. */
  readonly failure: string | null
  readonly gate: GateResult | null
  /** As a person ran them last on this deployment. */
  readonly gates: GatesRun | null
  /** Why those failed that came to a result last; an error is none. */
  readonly failedGates: string | null
  /**
   * Whether the registry is to be told of the failure, so that nobody takes the version again unknowingly. `kept`: it is not, because
   * production runs the version.
   */
  readonly telling: 'no' | 'due' | 'done' | 'kept'
}

export function emptyEnvironment(name: EnvironmentName, model: string): EnvironmentState {
  const nothing = { current: null, work: null, warm: [], pendingReturn: null, lent: null, held: null }
  return { name, model, revision: 0, ...nothing, message: 'no version yet' }
}

/** Whether it was seen good, and nothing bad since. */
export function isGood(entry: HistoryEntry | undefined): boolean {
  return entry !== undefined && entry.goodAt !== null && entry.failure === null
}

/** Whether routes led to it, or its alias may have moved: there is something to lead back. */
export function wasSwitched({ how, candidateBefore }: Deploying): boolean {
  return how === 'follow' || candidateBefore !== null
}
