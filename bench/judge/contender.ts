import type { Interval } from './traffic.ts'

/** A way to decide whether a candidate is withdrawn, told what happened interval by interval. */
export interface Contender {
  readonly name: string
  /** What it was set to, and where those settings and its logic come from. */
  readonly settings: string
  readonly source: string
  /** Begins a rollout. What it returns says true from the interval on at which the candidate is withdrawn. */
  start(): (interval: Interval) => boolean
}
