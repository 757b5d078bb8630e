import { z } from 'zod'
import { ab } from './ab.ts'
import { durationMs, percent, percentagePoints } from './units.ts'
import { stepHook } from './webhook.ts'

// How a version is brought to its users: exactly one of the strategies, with its settings.

const setWeight = z.strictObject({ setWeight: percent })
const pause = z.strictObject({ pause: z.strictObject({ duration: durationMs.optional() }) })
const ramp = z.strictObject({
  ramp: z.strictObject({ riskBudget: percentagePoints.optional(), to: percent.default(95) }),
})
const mirror = z.strictObject({ mirror: z.strictObject({ percent }) })
/** Requests with this header go to the candidate whatever its weight, until the rollout ends: for testers of one's own. */
const headerRoute = z.strictObject({
  headerRoute: z.strictObject({
    header: z
      .string()
      .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'must be a header name')
      .transform(text => text.toLowerCase()),
    value: z.string().min(1).max(1024),
  }),
})
/** Stays at the weight until so much is known about the candidate. */
const analysisStep = z.strictObject({
  analysis: z.strictObject({
    /** The excess over stable to be ruled out. */
    excess: percentagePoints.optional(),
    /** Of the candidate, since the step began. */
    minRequests: z.int().min(0).max(1e9).default(0),
  }),
})
const approval = z.strictObject({ approval: z.strictObject({}) })
const hook = z.strictObject({ hook: stepHook })

const step = z.union([setWeight, pause, ramp, mirror, headerRoute, analysisStep, approval, hook])
export type Step = z.infer<typeof step>

const DEFAULT_STEPS: Step[] = [{ setWeight: 10 }, { ramp: { riskBudget: 0.01, to: 95 } }]

/** A part of the traffic first, and more as time and evidence allow. */
const canary = z
  .strictObject({
    steps: z.array(step).min(1).max(50).default(DEFAULT_STEPS),
    /** Processes of the candidate from the beginning; more come as its weight needs them. */
    replicas: z.int().min(1).max(50).default(1),
    /** Stable's processes are replaced one by one, and the weight follows; otherwise the candidate's run beside all of them. */
    rolling: z.boolean().default(false),
    /** Fresh processes of stable's version with the candidate's size and weight, to compare with in place of all of stable. */
    baseline: z.boolean().default(false),
  })
  .refine(({ rolling, baseline }) => !(rolling && baseline), {
    path: ['baseline'],
    message: 'needs processes beside those of stable, which rolling does not have',
  })
  .refine(({ rolling, replicas }) => !(rolling && replicas > 1), {
    path: ['replicas'],
    message: 'is what rolling decides: one process more with each that is replaced',
  })

/** One atomic switch to a version that is complete and verified beside the old one, which is kept to switch back to. */
const blueGreen = z.strictObject({
  /** Stable is recorded this long before the switch, to have something to compare with after it. */
  record: durationMs.default(60_000),
  /** A person approves the switch. */
  approval: z.boolean().default(false),
})

/** A fraction as people write shares of requests: 0.98. */
const fraction = z.number().gt(0).lt(1)

/** Live answers come from stable; copies of requests show whether the candidate would answer alike. */
const shadow = z.strictObject({
  /** Of stable's requests, copied to the candidate. */
  percent: percent.refine(value => value > 0, 'must be above 0').default(100),
  /** Pairs of answers that must agree. */
  agreement: z.strictObject({ atLeast: fraction.default(0.98) }).prefault({}),
  /** Copies that may fail. */
  failures: z.strictObject({ atMost: fraction.default(0.01) }).prefault({}),
  /** By how much copies may take longer than live answers, on average. */
  latency: z.strictObject({ slowerByAtMostMs: z.number().positive() }).optional(),
  /** The chance that a candidate at a limit is taken for one within it. */
  level: z.number().gt(0).max(0.2).default(0.05),
  /** A person approves the promotion. */
  approval: z.boolean().default(false),
})

/** The old version stops before the new one starts; in between the route answers 503 with Retry-After. */
const recreate = z.strictObject({
  /** How long before that every answer carries the notice. */
  announce: durationMs.default(0),
  notice: z
    .string()
    .max(500)
    .regex(/^[\x20-\x7e]+$/, 'must be printable ASCII, as headers are')
    .default('this service is about to be interrupted for a new version'),
})

const strategies = {
  canary: canary.optional(),
  blueGreen: blueGreen.optional(),
  shadow: shadow.optional(),
  ab: ab.optional(),
  recreate: recreate.optional(),
}

export const strategy = z
  .strictObject(strategies)
  .refine(
    given => Object.values(given).filter(value => value !== undefined).length === 1,
    `must be exactly one of ${Object.keys(strategies).join(', ')}`,
  )
export type Strategy = z.infer<typeof strategy>
export type StrategyName = keyof Strategy

export const DEFAULT_STRATEGY: Strategy = {
  canary: { steps: DEFAULT_STEPS, replicas: 1, rolling: false, baseline: false },
}
