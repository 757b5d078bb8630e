import { z } from 'zod'
import { logPage } from '../contract/logs.ts'
import { PHASES } from '../contract/rollout.ts'
import { lifecycleCalls } from './lifecycle.ts'
import { modelCalls } from './models.ts'
import { jsonRequest, type ClientOptions } from './request.ts'

const decision = z.object({
  t: z.number(),
  action: z.enum(['hold', 'advance', 'withdraw']),
  e: z.number(),
  threshold: z.number(),
  cause: z.string().nullable(),
  u: z.number(),
  exposure: z.object({ stable: z.number(), candidate: z.number() }),
  reason: z.string(),
})

const versionRef = z.object({ version: z.string(), digest: z.string() })

/** One version of an experiment; stable, the control, is the first. */
const arm = z.object({
  variant: z.string(),
  version: z.string(),
  digest: z.string(),
  standing: z.string(),
  weight: z.number().nullable(),
  values: z.array(z.string()).nullable(),
  trials: z.number(),
  successes: z.number(),
  better: z.number().nullable(),
  worse: z.number().nullable(),
  threshold: z.number().nullable(),
  harm: z.number().nullable(),
  harmThreshold: z.number().nullable(),
  requests: z.number(),
  cause: z.string().nullable(),
  message: z.string().nullable(),
})
export type Arm = z.infer<typeof arm>

const outlook = z.object({
  requestsPerSecond: z.number(),
  next: z
    .object({
      weightPercent: z.number(),
      excess: z.number(),
      candidateRequests: z.number().nullable(),
      seconds: z.number().nullable(),
    })
    .nullable(),
  seconds: z.number().nullable(),
  needsPerson: z.boolean(),
})

const rollout = z.object({
  name: z.string(),
  route: z.string(),
  strategy: z.string(),
  phase: z.enum(PHASES),
  cause: z.string().nullable(),
  message: z.string(),
  step: z.object({ index: z.number(), of: z.number(), name: z.string() }),
  /** The candidate's weight, percent. */
  weight: z.number(),
  versions: z.object({ model: z.string(), stable: versionRef, candidate: versionRef }),
  /** In service, by variant. */
  processes: z.record(z.string(), z.number()),
  arms: z.array(arm),
  drill: z.unknown(),
  decision: decision.nullable(),
  outlook: outlook.nullable(),
  expectation: z.object({ seconds: z.number().nullable(), requestsPerSecond: z.number() }).nullable(),
  warnings: z.array(z.object({ name: z.string(), message: z.string() })),
  /** The team's own, at the last look. */
  metrics: z.array(
    z.object({
      name: z.string(),
      value: z.union([z.number(), z.string()]).nullable(),
      action: z.string(),
      reason: z.string().nullable(),
    }),
  ),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  withdrawMs: z.number().nullable(),
  gapMs: z.number().nullable(),
  version: z.number(),
})
export type Rollout = z.infer<typeof rollout>

const auditRecord = z.object({
  seq: z.number(),
  at: z.string(),
  actor: z.string(),
  action: z.string(),
  subject: z.string(),
  reason: z.string(),
  /** What it was decided on, such as the results of gates. */
  evidence: z.unknown().optional(),
  policyVersion: z.object({ before: z.number().nullable(), after: z.number().nullable() }).optional(),
  hash: z.string(),
})
export type AuditRecord = z.infer<typeof auditRecord>

const verification = z.object({
  records: z.number(),
  head: z.object({ seq: z.number(), hash: z.string() }),
  firstBad: z.object({ seq: z.number(), problem: z.string(), message: z.string() }).nullable(),
})

const alert = z.object({
  id: z.string(),
  alert: z.string(),
  status: z.enum(['firing', 'resolved']),
  severity: z.string(),
  labels: z.record(z.string(), z.string()),
  summary: z.string(),
  startsAt: z.string(),
  endsAt: z.string().nullable(),
})

const list = <Item extends z.ZodType>(item: Item) => z.object({ items: z.array(item) })

export interface VerbOptions {
  readonly reason?: string | undefined
  readonly ifMatch?: number | undefined
}

export type ControllerClient = ReturnType<typeof createControllerClient>

/** A name as a header can carry it: its UTF-8, without what would break the line. */
function inHeader(name: string): string {
  return Buffer.from(name.replaceAll(/\p{Cc}/gu, ' '), 'utf8').toString('latin1')
}

/** The controller's API. Every call throws a WeirError with the answer's own code when it is refused. */
export function createControllerClient(options: ClientOptions & { readonly actor?: string }) {
  const { actor } = options
  const actorHeader: Record<string, string> = actor === undefined ? {} : { 'x-weir-actor': inHeader(actor) }
  const request = jsonRequest(options)
  const path = (name: string) => `/v1/rollouts/${encodeURIComponent(name)}`
  return {
    rollouts: async () => list(rollout).parse((await request('GET', '/v1/rollouts')).body).items,
    rollout: async (name: string) => rollout.parse((await request('GET', path(name))).body),
    /** `file`: a rollout file's content; without metadata the controller names it. */
    startRollout: async (file: unknown) =>
      rollout.parse((await request('POST', '/v1/rollouts', { body: file, headers: actorHeader })).body),
    async act(name: string, verb: string, { reason, ifMatch }: VerbOptions = {}) {
      const headers = { ...actorHeader, ...(ifMatch === undefined ? {} : { 'if-match': `"${ifMatch}"` }) }
      const answer = await request('POST', `${path(name)}/${verb}`, { body: { reason }, headers })
      return rollout.parse(answer.body)
    },
    /** What it waits for, in sentences. */
    explain: async (name: string) =>
      z
        .object({ name: z.string(), sentences: z.array(z.string()) })
        .parse((await request('GET', `${path(name)}/explain`)).body),
    /** The rollout's file and its recorded history, as `weir judge` reads them. */
    evidence: async (name: string) =>
      z
        .object({ rollout: z.unknown(), history: z.unknown() })
        .parse((await request('GET', `${path(name)}/evidence`)).body),
    ...modelCalls(request, actorHeader),
    ...lifecycleCalls(request, actorHeader),
    async audit({ subject, limit }: { subject?: string | undefined; limit?: number | undefined } = {}) {
      const query = new URLSearchParams()
      if (subject !== undefined) query.set('subject', subject)
      if (limit !== undefined) query.set('limit', String(limit))
      return list(auditRecord).parse((await request('GET', `/v1/audit?${query}`)).body).items
    },
    /** Those that stand first, then the newest that are resolved. */
    alerts: async () => list(alert).parse((await request('GET', '/v1/alerts')).body).items,
    /** Whether the audit is as it was written; `head`: SEQ:HASH of an earlier verification that must still hold. */
    async verifyAudit(head?: string) {
      const query = head === undefined ? '' : `?${new URLSearchParams({ head })}`
      return verification.parse((await request('GET', `/v1/audit/verify${query}`)).body)
    },
    /** The last lines of a version, or those since the cursor of an earlier answer. */
    async logs(model: string, version: string, { after, lines }: { after?: string; lines?: number } = {}) {
      const query = new URLSearchParams()
      if (after !== undefined) query.set('after', after)
      if (lines !== undefined) query.set('lines', String(lines))
      const of = `${encodeURIComponent(model)}/${encodeURIComponent(version)}`
      return logPage.parse((await request('GET', `/v1/logs/${of}?${query}`)).body)
    },
  }
}
