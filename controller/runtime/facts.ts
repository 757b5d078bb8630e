import type { ExitRecord } from '../../contract/exit-record.ts'

/** An end of one of its processes that nobody had asked for. */
export interface SeenExit extends ExitRecord {
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** What is known of the processes of a deployment, beyond what they answer. */
export interface DeploymentFacts {
  /** One of its processes runs now. */
  readonly running: boolean
  /** Since it was deployed, oldest first; each was followed by a restart. */
  readonly exits: readonly SeenExit[]
  /** The most memory that was seen resident of one of its processes; null where the system does not tell. */
  readonly peakBytes: number | null
}

/** The other side of a runtime: not what should run, but what became of it. */
export interface DeploymentObserver {
  /** As of now: a process that has just died is among the exits. Undefined when there is no such deployment. */
  facts(id: string): Promise<DeploymentFacts | undefined>
}
