import { z } from 'zod'
import { durationMs } from './units.ts'

// Whom a rollout asks and tells on its way: Flagger's webhook types.

export const HOOK_TYPES = [
  'confirm-rollout',
  'pre-rollout',
  'rollout',
  'confirm-traffic-increase',
  'confirm-promotion',
  'post-rollout',
  'rollback',
  'event',
] as const
export type HookType = (typeof HOOK_TYPES)[number]

const target = {
  url: z.url({ protocol: /^https?$/ }),
  timeout: durationMs.refine(ms => ms >= 100 && ms <= 60_000, 'must be 100ms to 60s').default(10_000),
  metadata: z.record(z.string().max(63), z.string().max(1000)).default({}),
}

const webhook = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be lower-case letters, digits and hyphens'),
  type: z.enum(HOOK_TYPES),
  ...target,
})
export type Webhook = z.infer<typeof webhook>

/** A webhook that is a step of its own: what it does must succeed before the rollout goes on. */
export const stepHook = z.strictObject({
  ...target,
  /** Asked so many times more when the first answer is not 2xx; then the candidate is withdrawn. */
  retries: z.int().min(0).max(100).default(5),
})
export type StepHook = z.infer<typeof stepHook>

export const webhooks = z
  .array(webhook)
  .max(20)
  .refine(hooks => new Set(hooks.map(({ name }) => name)).size === hooks.length, 'names must differ')
  .default([])

/** What a webhook is sent, as JSON; everything in `metadata` is text. */
export interface HookPayload {
  /** The rollout's. */
  readonly name: string
  /** Of the Rollout resource in a cluster, otherwise "default". */
  readonly namespace: string
  readonly phase: string
  /** The candidate's digest. */
  readonly checksum: string
  readonly metadata: Readonly<Record<string, string>>
}
