import { z } from 'zod'
import { gateSettings } from './gate.ts'
import { rolloutSpec } from './rollout.ts'
import { DEFAULT_STRATEGY, strategy } from './strategy.ts'

// How a registered version comes to its users: what each run of the pipeline does, and what it answers.

export const STEPS = [
  'package',
  'deploy-staging',
  'verify-staging',
  'alias-staging',
  'gates',
  'deploy-canary',
  'verify-canary',
  'alias-canary',
  'rollout',
  'approval',
  'production',
  'alias-production',
] as const
export type StepName = (typeof STEPS)[number]

/** pipeline.yaml in a model's folder. */
export const pipelineSettings = z.strictObject({
  /** Whether a registration starts a run by itself. */
  onRegistration: z.boolean().default(true),
  gates: gateSettings.prefault({}),
  strategy: strategy.default(DEFAULT_STRATEGY),
  /** Of the rollout. */
  analysis: rolloutSpec.shape.analysis,
  onDeadline: rolloutSpec.shape.onDeadline,
  /** Who lets a version go to all users: a named person, or the evidence of the rollout alone. */
  approval: z.enum(['person', 'automatic']).default('person'),
  /** Whose approval counts; anybody's who gives a name when absent. */
  approvers: z.array(z.string().min(1).max(100)).min(1).max(100).optional(),
})
export type PipelineSettings = z.infer<typeof pipelineSettings>

export const RUN_PHASES = [
  'Queued',
  'Running',
  'Reverting',
  'Passed',
  'Failed',
  'Error',
  'Cancelled',
] as const
export type RunPhase = (typeof RUN_PHASES)[number]
export const ENDED_PHASES: ReadonlySet<RunPhase> = new Set(['Passed', 'Failed', 'Error', 'Cancelled'])

export const startBody = z.strictObject({
  model: z.string().min(1).max(100),
  version: z.string().min(1).max(64),
})

export const approveBody = z
  .strictObject({ as: z.string().trim().min(1).max(100).optional(), reason: z.string().max(1000).optional() })
  .nullish()

/** What is under way goes back as after a failure, but nothing is held against the version. */
export const cancelBody = z.strictObject({
  as: z.string().trim().min(1).max(100).optional(),
  reason: z.string().trim().min(1).max(1000),
})

const step = z.object({
  name: z.enum(STEPS),
  status: z.enum(['pending', 'running', 'passed', 'failed', 'skipped', 'error', 'cancelled']),
  /** On what it depends whether the step is run at all; null: it always is. */
  when: z.string().nullable(),
  startedAt: z.string().nullable(),
  endedAt: z.string().nullable(),
  message: z.string(),
  /** What was measured or done, such as the results of gates. */
  evidence: z.unknown(),
  /** What it said on its way, oldest first. */
  log: z.array(z.object({ at: z.string(), message: z.string() })),
})

export const pipelineView = z.object({
  id: z.string(),
  model: z.string(),
  /** The version, by its content too: a number alone may be registered anew. */
  modelVersion: z.string(),
  digest: z.string(),
  trigger: z.enum(['registration', 'manual']),
  startedBy: z.string(),
  phase: z.enum(RUN_PHASES),
  message: z.string(),
  steps: z.array(step),
  /** What later steps use of earlier ones. */
  outputs: z.object({
    stagingRevision: z.number().nullable(),
    canaryRevision: z.number().nullable(),
    rollout: z.string().nullable(),
    approvedBy: z.string().nullable(),
  }),
  cancelledBy: z.string().nullable(),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  /** Grows with every change; the ETag. */
  version: z.number(),
})
export type PipelineView = z.infer<typeof pipelineView>
