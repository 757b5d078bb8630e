import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { durationMs } from '../../contract/units.ts'
import { parseSettings } from '../settings-file.ts'

const address = z.strictObject({ url: z.url({ protocol: /^https?$/ }) })

const RECEIVER_KINDS = ['slack', 'webhook', 'alertmanager'] as const

const receiver = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be lower-case letters, digits and hyphens'),
    /** An incoming webhook of Slack, or of what understands the same: Mattermost, Rocket.Chat. */
    slack: address.optional(),
    webhook: address.optional(),
    /** The base address; alerts go to its API v2. */
    alertmanager: address.optional(),
    timeout: durationMs.refine(ms => ms >= 100 && ms <= 60_000, 'must be 100ms to 60s').default(10_000),
  })
  .refine(
    given => RECEIVER_KINDS.filter(kind => given[kind] !== undefined).length === 1,
    `must be exactly one of ${RECEIVER_KINDS.join(', ')}`,
  )
export type Receiver = z.infer<typeof receiver>

const limits = z.strictObject({
  successRate: z.strictObject({ atLeast: z.number().gt(0).lt(1) }).optional(),
  latency: z
    .strictObject({ quantile: z.number().gt(0).lt(1).default(0.95), atMostMs: z.number().positive() })
    .optional(),
  /** Population stability index of what stable is sent and answers, against its manifest's profile. */
  drift: z
    .strictObject({
      raiseAt: z.number().positive().default(0.25),
      resolveBelow: z.number().positive().default(0.1),
    })
    .refine(({ raiseAt, resolveBelow }) => resolveBelow < raiseAt, 'resolveBelow must be below raiseAt')
    .optional(),
  /** Of live answers with mirrored ones. */
  agreement: z.strictObject({ atLeast: z.number().gt(0).lt(1) }).optional(),
  /** Nothing is raised on fewer requests, images or compared pairs. */
  minSamples: z.int().min(1).default(100),
})
export type WatchLimits = z.infer<typeof limits>

const watch = limits.extend({
  interval: durationMs.refine(ms => ms >= 100 && ms <= 3_600_000, 'must be 100ms to 1h').default(15_000),
  /** In place of the limits above, for single routes. */
  routes: z.record(z.string(), limits).default({}),
})
export type WatchConfig = z.infer<typeof watch>

const alertsConfig = z.strictObject({
  receivers: z
    .array(receiver)
    .max(20)
    .refine(all => new Set(all.map(({ name }) => name)).size === all.length, 'names must differ')
    .default([]),
  /** Of stable, on every route; without it nobody watches. */
  watch: watch.optional(),
})
export type AlertsConfig = z.infer<typeof alertsConfig>

/** Reads `path`, or alerts.yaml in the state folder if there is one. Throws `invalid_setting`, naming what is wrong. */
export async function readAlertsConfig(stateDir: string, path?: string): Promise<AlertsConfig> {
  const file = path ?? join(stateDir, 'alerts.yaml')
  let text = ''
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (path !== undefined || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return parseAlertsConfig(text, file)
}

export function parseAlertsConfig(text: string, file: string): AlertsConfig {
  return parseSettings(alertsConfig, text, file).settings
}
