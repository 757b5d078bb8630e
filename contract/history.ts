import { z } from 'zod'

// What the judge reads: counters as they were scraped, look by look. `weir judge --history FILE` takes the same.

const counter = z.number().nullable() // null: the scrape said NaN

const series = z.strictObject({
  /** Which process counted: a gateway's instance. A series is (id, variant). */
  id: z.string(),
  variant: z.string(),
  /** Cumulative, of kind="split" only. */
  requests: counter,
  failures: counter,
  clientErrors: counter.optional(),
  /** Given to the variant by weight or sticky key, and of these ended in any way: also given up by the client. */
  assigned: counter.optional(),
  completed: counter.optional(),
  /** Cumulative histogram of durations: [upper bound in seconds or "+Inf", requests at or below it]. */
  buckets: z.array(z.tuple([z.union([z.number(), z.literal('+Inf')]), counter])).optional(),
})

/** A custom metric at one look: its value, or why there is none. */
const measured = z.strictObject({
  name: z.string(),
  value: z.union([z.number(), z.enum(['NaN', '+Inf', '-Inf'])]).optional(),
  error: z.string().optional(),
})
export type Measured = z.infer<typeof measured>

/** A cumulative counter beside the judge's own, which a strategy decides on: compared pairs, feedback, outcomes. */
const counted = z.strictObject({
  id: z.string(),
  variant: z.string(),
  /** The metric, and its labels beyond route and variant. */
  name: z.string(),
  labels: z.record(z.string(), z.string()),
  value: counter,
})
export type Counted = z.infer<typeof counted>

export const look = z.strictObject({
  /** Seconds, from any origin; only differences and whole minutes count. */
  t: z.number(),
  /** Hundredths of a percent per variant, as in force when the counters were read. */
  weights: z.record(z.string(), z.int().min(0).max(10_000)),
  series: z.array(series),
  /** Users are pinned by a key, so that the shares of requests need not be those of the weights. */
  sticky: z.boolean().optional(),
  /** The gateway's epoch: the policy version of the last weight change, to which feedback belongs. */
  epoch: z.int().optional(),
  /** Of an experiment: the variants beside stable that users are dealt to, and that nothing is known against. */
  arms: z.array(z.string()).optional(),
  /** What the strategy decides on beside them. */
  counters: z.array(counted).optional(),
  /** What `analysis.metrics` were, where a rollout has any. */
  metrics: z.array(measured).optional(),
})

export const history = z.strictObject({
  /** Null: the first version of its route, which there was nothing to compare with. */
  comparator: z.null().optional(),
  settleSeconds: z.number().min(0).optional(),
  intervalSeconds: z.number().positive().optional(),
  deadlineSeconds: z.number().positive().optional(),
  /** Of stable, where they were replaced one by one. */
  processes: z.int().min(2).optional(),
  looks: z.array(look),
})

export type Series = z.infer<typeof series>
export type Look = z.infer<typeof look>
export type History = z.infer<typeof history>

/** What harm a candidate does to those whom it answers. */
export type HarmCause = 'failure' | 'client_error' | 'latency' | 'absolute'

/** One decision of the judge, the line that `weir judge` prints. */
export interface Decision {
  readonly t: number
  readonly action: 'hold' | 'advance' | 'withdraw'
  /** Combined e-value against "the candidate is no worse", finite, at most 1e300. */
  readonly e: number
  /** 1/alpha: the candidate is withdrawn at the first e at or above it. */
  readonly threshold: number
  readonly cause: HarmCause | 'disagreement' | 'feedback' | null
  /** Largest upper bound on the gating metrics' excess (candidate minus stable), a fraction; 1 is unknown. */
  readonly u: number
  /** Requests in usable blocks so far. */
  readonly exposure: { readonly stable: number; readonly candidate: number }
  /** One sentence for the operator. */
  readonly reason: string
  /** Of an experiment: how each of its arms does. */
  readonly experiment?: Standings
}

/** What users told of one arm: how many, and how many of those what is wanted. */
export interface Told {
  readonly successes: number
  readonly trials: number
}

/** One arm against stable, the control. E-values are finite, at most 1e300. */
export interface ArmStanding extends Told {
  readonly variant: string
  /** `out`: users are not dealt to it any more. */
  readonly verdict: 'open' | 'better' | 'worse' | 'harm' | 'out'
  readonly cause: Decision['cause']
  /** Against "no better" and "no worse than stable". */
  readonly better: number
  readonly worse: number
  /** Against "does no harm", and the candidate's requests by which that is judged. */
  readonly harm: number
  readonly requests: number
}

export interface Standings {
  /** Of `better` and `worse`; that of `harm` is the decision's own. */
  readonly threshold: number
  readonly control: Told & { readonly requests: number }
  readonly arms: readonly ArmStanding[]
  /** Proven better than stable at this look; of several the one with most evidence. */
  readonly winner: string | null
}
