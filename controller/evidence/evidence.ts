import type { Look } from '../../contract/history.ts'
import type { MetricName } from '../../contract/metrics.ts'

/** Where counts come from: the gateways' own /metrics, or a Prometheus server. */
export interface Evidence {
  /** Counters of a route's variants now, those of `beside` too. Never rejects: a source that cannot be read is "no-data", and holds. */
  look(route: string, beside?: readonly MetricName[]): Promise<EvidenceResult>
}

export type EvidenceResult =
  | {
      readonly kind: 'look'
      /** The weights are the controller's to add: those in force when the counters were read. */
      readonly look: Omit<Look, 'weights'>
      /** What was left out and why, such as one replica of three that did not answer. */
      readonly warnings: readonly string[]
    }
  | {
      readonly kind: 'no-data'
      readonly reason: string
      /** The source could not be read; false: it was, and had nothing on this route. */
      readonly failed: boolean
    }
