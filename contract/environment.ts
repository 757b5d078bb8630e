import { z } from 'zod'
import { gateResult } from './gate.ts'
import { durationMs } from './units.ts'

// Where a version runs on its way to all users: each environment is a deployment of its own, behind a route of its own.

/** In the order in which a version goes through them. */
export const ENVIRONMENTS = ['staging', 'canary', 'production'] as const
export type EnvironmentName = (typeof ENVIRONMENTS)[number]

/** From where a version can be promoted; in development it is registered and runs nowhere. */
export const SOURCES = ['development', 'staging', 'canary'] as const
export type Source = (typeof SOURCES)[number]

const port = z.int().min(1).max(65_535)
const processes = z
  .strictObject({
    /** One of what is promoted by hand, and as many as a rollout brought, when absent. */
    instances: z.int().min(1).max(32).optional(),
    /** Of each instance; its manifest may ask for less, never for more. */
    memoryLimitMiB: z.int().min(16).max(1_048_576).optional(),
  })
  .prefault({})

/** environments.yaml in the state folder. */
export const environmentSettings = z.strictObject({
  staging: processes,
  canary: processes,
  production: processes,
  /** How long the version that was replaced keeps running, so that a rollback needs no start. */
  keepWarm: durationMs.refine(ms => ms <= 168 * 3_600_000, 'must be at most 168h').default(600_000),
  /** How long a version may take to be ready. */
  readyWithin: durationMs.refine(ms => ms >= 1000 && ms <= 3_600_000, 'must be 1s to 1h').default(120_000),
})
export type EnvironmentSettings = z.infer<typeof environmentSettings>

/** ROUTE=MODEL:PORT,PORT,PORT, as the command line says where production, staging and canary are. */
export const environmentPlaces = z
  .string()
  .regex(/^[^=]+=[^:]+:\d+,\d+,\d+$/, 'must look like food11=food11:8080,8082,8083')
  .transform(text => {
    const [, route, model, ...ports] = /^(.+?)=(.+?):(\d+),(\d+),(\d+)$/.exec(text) ?? []
    const [production, staging, canary] = ports.map(Number)
    return { route, model, ports: { production, staging, canary } }
  })
  .pipe(
    z.object({
      route: z.string(),
      model: z.string(),
      ports: z
        .object({ production: port, staging: port, canary: port })
        .refine(ports => new Set(Object.values(ports)).size === 3, 'must be three that differ'),
    }),
  )
export type EnvironmentPlaces = z.infer<typeof environmentPlaces>

const reason = z.string().max(1000).optional()

export const promoteBody = z.strictObject({
  from: z.enum(SOURCES),
  version: z.string().min(1).max(64),
  /** Without the source running it, and without its gates; needs a reason. */
  force: z.boolean().default(false),
  reason,
})
export type PromoteBody = z.infer<typeof promoteBody>

export const rollbackBody = z.strictObject({ reason }).nullish()

export const gatesBody = z.strictObject({ version: z.string().min(1).max(64).optional(), reason }).nullish()

/** The gates as a person ran them on what an environment runs. */
export const gatesRun = z.object({
  revision: z.number(),
  digest: z.string(),
  by: z.string(),
  reason: z.string(),
  startedAt: z.string(),
  /** Null: they are under way. */
  endedAt: z.string().nullable(),
  verdict: z.enum(['pass', 'fail', 'error']).nullable(),
  results: z.array(gateResult),
})
export type GatesRun = z.infer<typeof gatesRun>

/** How a version came into an environment. `follow`: a rollout, or an operator, changed the public route. */
const how = z.enum(['promote', 'rollback', 'revert', 'follow'])
export type How = z.infer<typeof how>

const historyEntry = z.object({
  revision: z.number(),
  version: z.string(),
  digest: z.string(),
  how,
  actor: z.string(),
  reason: z.string(),
  at: z.string(),
  /** When exactly this digest answered at the environment's own route. */
  verifiedAt: z.string().nullable(),
  /** When it was seen good: its gates passed, or a rollout promoted it. */
  goodAt: z.string().nullable(),
  /** Why it is not to be returned to. */
  failure: z.string().nullable(),
})

export const environmentView = z.object({
  name: z.enum(ENVIRONMENTS),
  route: z.string(),
  url: z.string(),
  model: z.string(),
  current: z
    .object({
      version: z.string(),
      digest: z.string(),
      revision: z.number(),
      good: z.boolean(),
      /** That requests are led to. */
      instances: z.number(),
    })
    .nullable(),
  /** As environments.yaml has it; null: as the version, or the rollout that brought it, has it. */
  settings: z.object({ instances: z.number().nullable(), memoryLimitMiB: z.number().nullable() }),
  health: z.enum(['healthy', 'unhealthy', 'stopped', 'unknown']),
  /** One sentence on where it stands. */
  message: z.string(),
  /** The deployment under way; while there is one no other can begin. */
  deploying: z.object({ version: z.string(), revision: z.number(), how, stage: z.string() }).nullable(),
  /** The good version that could not be returned to yet, and when that is tried again; null there: given up. */
  pendingReturn: z
    .object({ version: z.string(), tries: z.number(), nextAt: z.string().nullable() })
    .nullable(),
  /** Versions that a rollback reaches without a start, and until when. */
  warm: z.array(z.object({ version: z.string(), digest: z.string(), until: z.string() })),
  /** The last ones that a person ran on what runs here. */
  gates: gatesRun.nullable(),
  /** Newest first. */
  history: z.array(historyEntry),
  /** Grows with every change; the ETag. */
  version: z.number(),
})
export type EnvironmentView = z.infer<typeof environmentView>
