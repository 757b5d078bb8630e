import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { WebhookGateSettings } from '../../../contract/gate.ts'
import type { HookPayload } from '../../../contract/webhook.ts'
import type { Clock } from '../../../lib/clock.ts'
import { describeProblem } from '../../../lib/problem.ts'
import { signatureHeaders } from '../../alerts/signature.ts'
import { createGate, type Gate, type GateSubject, type Measured } from './gate.ts'

export interface WebhookOptions {
  readonly settings: WebhookGateSettings
  /** As all webhooks are signed. */
  readonly secret: string
  readonly clock: Clock
}

const MAX_ANSWER_BYTES = 64 * 1024
const KEPT_CHARACTERS = 2000

/** Somebody else's judgement, asked for by a signed POST. */
export function createWebhookGate({ settings, secret, clock }: WebhookOptions): Gate {
  return createGate(settings.name, clock, async (subject, signal) => {
    const { origin } = new URL(settings.url) // what follows it may be a secret
    try {
      const { status, answer } = await post({ settings, secret, clock }, subject, signal)
      return judgeAnswer(origin, status, answer)
    } catch (error) {
      const late = error instanceof DOMException && error.name === 'TimeoutError'
      const problem = late ? `no answer within ${settings.timeout} ms` : describeProblem(error)
      return { verdict: 'error', reason: `${origin}: ${problem}`, evidence: null }
    }
  })
}

async function post({ settings, secret, clock }: WebhookOptions, subject: GateSubject, stop: AbortSignal) {
  const body = JSON.stringify(payloadOf(settings, subject))
  const timestampSeconds = Math.floor(clock.now() / 1000)
  const response = await fetch(settings.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'weir',
      ...signatureHeaders({ id: `msg_${randomUUID()}`, timestampSeconds, body }, secret),
    },
    body,
    redirect: 'error',
    signal: AbortSignal.any([stop, AbortSignal.timeout(settings.timeout)]),
  })
  return { status: response.status, answer: await beginningOf(response) }
}

function payloadOf({ name, metadata }: WebhookGateSettings, subject: GateSubject): HookPayload {
  const { model, version, digest, endpoints, production } = subject
  const about = { model, version, endpoint: endpoints[0] ?? '', endpoints: endpoints.join(' '), gate: name }
  const beside = production ? { productionVersion: production.version } : {}
  return {
    name: `${model}-v${version}`,
    namespace: 'default',
    phase: 'Gate',
    checksum: digest,
    metadata: { ...about, ...beside, ...metadata },
  }
}

const verdictAnswer = z.object({
  verdict: z.enum(['pass', 'fail', 'error']),
  reason: z.string().max(1000).optional(),
})

/** 2xx passes unless a `verdict` in its JSON says otherwise; 4xx fails; all else tells nothing about the version. */
export function judgeAnswer(origin: string, status: number, answer: string): Measured {
  const evidence = { gate: 'webhook', status, answer: answer.slice(0, KEPT_CHARACTERS) } as const
  const ok = status >= 200 && status < 300
  const json = parseJson(answer)
  if (!ok || !(typeof json === 'object' && json !== null && 'verdict' in json)) {
    const verdict = ok ? 'pass' : status >= 400 && status < 500 ? 'fail' : 'error'
    return { verdict, reason: `${origin} answered ${status}`, evidence }
  }
  const parsed = verdictAnswer.safeParse(json)
  if (!parsed.success)
    return {
      verdict: 'error',
      reason: `${origin} answered with a verdict that is none of pass, fail and error`,
      evidence,
    }
  const { verdict, reason } = parsed.data
  return { verdict, reason: reason ?? `${origin} says ${verdict}`, evidence }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function beginningOf(response: Response): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    parts.push(chunk)
    bytes += chunk.byteLength
    if (bytes >= MAX_ANSWER_BYTES) break // leaving the loop cancels the rest
  }
  return Buffer.concat(parts).toString('utf8', 0, MAX_ANSWER_BYTES)
}
