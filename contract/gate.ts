import { z } from 'zod'
import { exitRecord } from './exit-record.ts'
import { tensorSpec } from './model-manifest.ts'
import { strategy } from './strategy.ts'
import { durationMs, percentagePoints } from './units.ts'

// What a version must pass before it goes on: the settings as people write them, and what each gate measured.

const fraction = z.number().gt(0).lt(1)
const timeLimit = durationMs.refine(ms => ms >= 100 && ms <= 3_600_000, 'must be 100ms to 1h')
const name = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be lower-case letters, digits and hyphens')

const integration = z.strictObject({
  /** How often /test is asked. */
  tests: z.int().min(1).max(1000).default(5),
})
export type IntegrationSettings = z.infer<typeof integration>

const resources = z.strictObject({
  /** Of each of its processes; its own manifest may ask for less, never for more. */
  memoryLimitMiB: z.int().min(16).max(1_048_576).default(512),
  /** The load under which memory is measured. */
  requests: z.int().min(1).max(100_000).default(50),
  concurrent: z.int().min(1).max(1000).default(10),
  requestTimeout: timeLimit.default(30_000),
})
export type ResourcesSettings = z.infer<typeof resources>

const load = z.strictObject({
  requests: z.int().min(1).max(100_000).default(100),
  concurrent: z.int().min(1).max(1000).default(10),
  /** The share of requests answered with 2xx must be above this. */
  successAbove: fraction.default(0.95),
  /** The 95th percentile of all answers must be below this. */
  p95BelowMs: z.number().positive().default(2000),
  requestTimeout: timeLimit.default(30_000),
})
export type LoadSettings = z.infer<typeof load>

const quality = z.strictObject({
  /** By how much its accuracy may be below production's. */
  below: percentagePoints.default(0.02),
  /** A folder with samples.json, or with a folder of photos for each label; the model's samples by default. */
  photos: z.string().min(1).optional(),
  /** Accuracy that it must have in any case. */
  atLeast: z.number().min(0).max(1).optional(),
})
export type QualitySettings = z.infer<typeof quality>

/** As of the strategy of this name, without the approval. */
const { approval: _, ...comparison } = strategy.shape.shadow.unwrap().shape

const shadow = z.strictObject({
  ...comparison,
  /** Neither proven alike nor otherwise within this time is an error, and no pass. */
  within: timeLimit.default(600_000),
  interval: timeLimit.default(1000),
})
export type ShadowGateSettings = z.infer<typeof shadow>

const command = z.strictObject({
  name,
  /** A program and its arguments; no shell. Exit code 0 passes, 1 fails, anything else is an error. */
  argv: z.array(z.string().max(10_000)).min(1).max(100),
  env: z
    .record(z.string().regex(/^[A-Za-z_]\w*$/, 'must be the name of an environment variable'), z.string())
    .default({}),
  timeout: timeLimit.default(600_000),
})
export type CommandSettings = z.infer<typeof command>

const webhook = z.strictObject({
  name,
  url: z.url({ protocol: /^https?$/ }),
  timeout: timeLimit.default(60_000),
  metadata: z.record(z.string().max(63), z.string().max(1000)).default({}),
})
export type WebhookGateSettings = z.infer<typeof webhook>

/** False leaves a gate out. Gates run in the order in which they are listed here. */
export const gateSettings = z
  .strictObject({
    integration: z.union([z.literal(false), integration]).prefault({}),
    resources: z.union([z.literal(false), resources]).prefault({}),
    load: z.union([z.literal(false), load]).prefault({}),
    quality: z.union([z.literal(false), quality]).prefault({}),
    shadow: shadow.optional(),
    commands: z.array(command).max(20).default([]),
    webhooks: z.array(webhook).max(20).default([]),
  })
  .refine(({ commands, webhooks }) => {
    const names = [...BUILT_IN, ...[...commands, ...webhooks].map(({ name }) => name)]
    return new Set(names).size === names.length
  }, 'the names of commands and webhooks must differ from each other and from those of the other gates')
export type GateSettings = z.infer<typeof gateSettings>

const BUILT_IN = ['integration', 'resources', 'load', 'quality', 'shadow'] as const

const bytes = z.number().nullable()
const seenExit = exitRecord.extend({ at: z.number() })

/** What a gate measured. Null in a result: it came to nothing. */
export const gateEvidence = z.discriminatedUnion('gate', [
  z.object({
    gate: z.literal('integration'),
    /** Each /test and each reference image, with the label that came. */
    answers: z.array(z.object({ what: z.string(), label: z.string(), expected: z.string().nullable() })),
    inputs: z.array(tensorSpec),
    outputs: z.array(tensorSpec),
    /** In which it is not what its manifest declares. */
    problems: z.array(z.string()),
  }),
  z.object({
    gate: z.literal('resources'),
    requests: z.number(),
    /** The most that one of its processes had resident, under the load and since its start. */
    loadedBytes: bytes,
    peakBytes: bytes,
    limitBytes: bytes,
    exits: z.array(seenExit),
  }),
  z.object({
    gate: z.literal('load'),
    requests: z.number(),
    succeeded: z.number(),
    timedOut: z.number(),
    /** Without an answer for another reason. */
    broken: z.number(),
    successRate: z.number(),
    /** Null: nothing was answered. */
    p50Ms: z.number().nullable(),
    p95Ms: z.number().nullable(),
    maxMs: z.number().nullable(),
    statuses: z.record(z.string(), z.number()),
  }),
  z.object({
    gate: z.literal('quality'),
    photos: z.number(),
    correct: z.number(),
    accuracy: z.number(),
    /** Null: nothing is in production. */
    production: z.object({ version: z.string(), correct: z.number(), accuracy: z.number() }).nullable(),
    /** Photos where exactly one of both is right. */
    onlyProduction: z.number(),
    onlyCandidate: z.number(),
    /** Of the exact sign test against "no worse than production"; null where it was not needed. */
    pValue: z.number().nullable(),
  }),
  z.object({
    gate: z.literal('shadow'),
    pairs: z.number(),
    looks: z.number(),
    e: z.number(),
    threshold: z.number(),
    description: z.string(),
  }),
  z.object({
    gate: z.literal('command'),
    argv: z.array(z.string()),
    code: z.number().nullable(),
    signal: z.string().nullable(),
    /** What it wrote, the end of it. */
    output: z.string(),
  }),
  z.object({ gate: z.literal('webhook'), status: z.number(), answer: z.string() }),
])
export type GateEvidence = z.infer<typeof gateEvidence>

export const gateResult = z.object({
  gate: z.string(),
  /** An error is no pass: what was to be known is not known. */
  verdict: z.enum(['pass', 'fail', 'error']),
  /** A sentence with figures and their units. */
  reason: z.string(),
  evidence: gateEvidence.nullable(),
  /** ISO 8601. */
  startedAt: z.string(),
  endedAt: z.string(),
})
export type GateResult = z.infer<typeof gateResult>
