import { z } from 'zod'
import { DEFAULT_STRATEGY, strategy } from './strategy.ts'
import { durationMs, percentagePoints } from './units.ts'
import { webhooks } from './webhook.ts'

// A rollout as people write it (YAML or JSON) and as the controller reports it.

const ratio = z.number().min(1).max(10)

const condition = z.string().max(200)

/** A number of the team's own, and what it must and must not be. A condition compares `result`: `result < 0.01 && result >= 0`. */
const metric = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be lower-case letters, digits and hyphens'),
    /** PromQL that gives one number. */
    query: z.string().min(1).max(10_000),
    /** Holds while it is not true. */
    successCondition: condition.optional(),
    /** Withdraws when it is true `failureLimit` looks in a row. */
    failureCondition: condition.optional(),
    failureLimit: z.int().min(1).max(1000).default(3),
    /** More looks in a row than this without a result pause the rollout. */
    consecutiveErrorLimit: z.int().min(0).max(1000).default(4),
    /** Measured and told, without effect. */
    dryRun: z.boolean().default(false),
  })
  .refine(
    ({ successCondition, failureCondition }) => (successCondition ?? failureCondition) !== undefined,
    'needs a successCondition, a failureCondition or both',
  )
export type Metric = z.infer<typeof metric>

const analysis = z.strictObject({
  /** The chance, over all looks of the rollout, that a healthy candidate is withdrawn. */
  alpha: z.number().gt(0).max(0.2).default(0.01),
  /** Time between looks. */
  interval: durationMs.refine(ms => ms >= 100 && ms <= 3_600_000, 'must be 100ms to 1h').default(5000),
  /** How long after a weight change counts are left aside; by default the request time-out plus one interval. */
  settle: durationMs.optional(),
  /** Share of all users who may see the excess, unless the ramp step names its own. */
  riskBudget: percentagePoints.default(0.01),
  /** "evidence": a pause waits for time and evidence; "time": for the clock and `minRequests` alone. */
  advance: z.enum(['evidence', 'time']).default('evidence'),
  minRequests: z.int().min(1).default(50),
  /** How long a version that has all traffic, and nothing beside it to be compared with, is watched before it is promoted. */
  watch: durationMs.refine(ms => ms <= 86_400_000, 'must be at most 24h').default(600_000),
  successRate: z
    .strictObject({ atLeast: z.number().gt(0).lt(1).optional(), toleranceRatio: ratio.default(1.1) })
    .optional(),
  latency: z
    .strictObject({
      quantile: z.number().gt(0).lt(1).default(0.95),
      atMostMs: z.number().positive().optional(),
      toleranceRatio: ratio.default(1.1),
      /** How long a process may have to wait for a processor: requests that it makes late meanwhile count as one. */
      burst: durationMs.refine(ms => ms <= 10_000, 'must be at most 10s').default(0),
    })
    .optional(),
  /**
   * "hold": no more traffic while the candidate predicts the classes in other shares than stable. A better version may well do
   * so, too, which is why it has to be asked for.
   */
  drift: z.enum(['off', 'hold']).default('off'),
  /** Whom the rollout asks and tells on its way. */
  webhooks,
  metrics: z
    .array(metric)
    .max(20)
    .refine(metrics => new Set(metrics.map(({ name }) => name)).size === metrics.length, 'names must differ')
    .default([]),
})

const MAX_DEADLINE_MS = 720 * 3_600_000

const deadline = z.strictObject({
  after: durationMs
    .refine(ms => ms >= 1000 && ms <= MAX_DEADLINE_MS, 'must be 1s to 720h')
    .default(7_200_000),
  do: z.enum(['rollback', 'pause']).default('rollback'),
})

const name = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be lower-case letters, digits and hyphens')

/** How a part of the candidate's answers fails or is slowed, for rehearsals. */
export const drill = z.strictObject({
  failRate: z.number().min(0).max(1).default(0),
  delayMs: z.number().min(0).max(60_000).default(0),
  /** Requests answered normally before the drill begins. */
  after: z.int().min(0).default(0),
  statusCode: z.int().min(400).max(599).default(500),
})
export type Drill = z.infer<typeof drill>

export const rolloutSpec = z
  .strictObject({
    route: z.string(),
    modelVersion: z.string(),
    /** Of the first version ever: afterwards it is what stable says that it is. */
    model: z.string().min(1).max(100).optional(),
    /** Whether a rollout that is under way on the route makes room for this one. */
    supersede: z.boolean().default(false),
    strategy: strategy.default(DEFAULT_STRATEGY),
    analysis: analysis.prefault({}),
    onDeadline: deadline.prefault({}),
    drill: drill.optional(),
  })
  .refine(({ strategy, analysis }) => analysis.drift === 'off' || strategy.canary !== undefined, {
    path: ['analysis', 'drift'],
    message: 'compares versions that answer users at the same time: it needs a canary',
  })
export type RolloutSpec = z.infer<typeof rolloutSpec>

export const rolloutFile = z.strictObject({
  apiVersion: z.literal('weir.dev/v1alpha1'),
  kind: z.literal('Rollout'),
  metadata: z.strictObject({ name }),
  spec: rolloutSpec,
})
export type RolloutFile = z.infer<typeof rolloutFile>

export const PHASES = [
  'Pending',
  'Progressing',
  'Paused',
  'Promoting',
  'Promoted',
  'RollingBack',
  'RolledBack',
  'Aborted',
  'Superseded',
  'Failed',
] as const
export type Phase = (typeof PHASES)[number]

export const TERMINAL_PHASES: ReadonlySet<Phase> = new Set([
  'Promoted',
  'RolledBack',
  'Aborted',
  'Superseded',
  'Failed',
])
