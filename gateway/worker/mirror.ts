import { createHash } from 'node:crypto'
import type { RoutePolicy } from '../../contract/policy.ts'
import type { Prediction } from '../../contract/prediction.ts'
import type { ComparisonRecord } from '../messages.ts'
import type { CallFailure } from '../upstream/connection.ts'
import { Attempt, type AnswerHead, type AttemptListener } from './attempt.ts'
import type { RequestBody } from './body.ts'
import { comparePredictions } from './compare.ts'
import { shareOf } from './limits.ts'
import { readPrediction } from './prediction-contract.ts'
import type { AttemptTrace } from './request-trace.ts'
import type { VariantCounts } from './route-counts.ts'
import { pickDesperately, type Target } from './target.ts'
import type { TimeLimits } from './time-limits.ts'

/** A live request that has been answered, offered for copying. */
export interface LiveRequest {
  readonly requestId: string
  readonly method: string
  readonly path: string
  readonly headers: readonly string[]
  readonly body: RequestBody
  readonly variant: string
  /** The live answer, where the contract made us read it. */
  readonly prediction: Prediction | undefined
  readonly latencyMs: number
  /** Of the attempt that answered. */
  readonly trace: AttemptTrace | undefined
  readonly countsOf: (variant: string) => VariantCounts | undefined
}

/** Copies live requests to a variant whose answers nobody sees. It can be slow, full or dead: the live side never waits. */
export interface Mirror {
  offer(live: LiveRequest): void
}

interface MirrorRoute {
  readonly route: string
  readonly settings: NonNullable<RoutePolicy['mirror']>
  readonly workers: number
  /** Connections of the mirror's own, so that a hanging shadow takes none from live requests. */
  readonly targetsOf: (variant: string) => readonly Target[]
}

interface MirrorOptions {
  readonly onComparison: (record: ComparisonRecord) => void
  readonly wallClock: () => number
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number
  readonly timeLimits: TimeLimits
}

const MAX_ANSWER_BYTES = 64 * 1024

export function createMirror(
  { route, settings, workers, targetsOf }: MirrorRoute,
  options: MirrorOptions,
): Mirror {
  const maxInFlight = settings.maxInFlight === 0 ? 0 : shareOf(settings.maxInFlight, workers)
  const maxBytes = settings.maxBytes / workers
  const isCopied = createSampler(settings.percent)
  const isNoiseSample = createSampler(settings.noiseFloorPercent)
  const isRecorded = createSampler(settings.recordPercent)
  const mayRecord = createRecordLimit(options.now)
  const targets = new Map<string, readonly Target[]>()
  let inFlight = 0
  let bytes = 0

  function send(live: LiveRequest, to: string): void {
    const counts = live.countsOf(to)
    const known = targets.get(to) ?? targetsOf(to)
    targets.set(to, known)
    const target = pickDesperately(known, [])
    const refusal = target === undefined ? 'no_endpoint' : refusalOf(live.body)
    if (target === undefined || refusal !== undefined) return counts?.mirrored(refusal ?? 'no_endpoint')
    counts?.mirrored('sent')
    inFlight++
    bytes += live.body.bytes
    live.body.retain()
    const trace = live.trace?.copied(to)
    const headers = trace?.sentTo(target.endpoint, live.headers) ?? live.headers
    const request = {
      method: live.method,
      path: live.path,
      headers: [...headers, 'x-weir-shadow', '1'],
      body: live.body,
      timeoutMs: settings.timeoutMs,
      timeLimits: options.timeLimits,
    }
    const finish = (shadow: Shadow) => {
      inFlight--
      bytes -= live.body.bytes
      judge(live, to, shadow)
      const failure = failureOf(shadow)
      trace?.end(failure === undefined ? outcomeOf(shadow) : 'failure', failure ?? '', shadow.head?.status)
      live.body.release()
    }
    new Attempt(target, request, createShadow(finish)).start()
  }

  function refusalOf(body: RequestBody): string | undefined {
    if (!body.complete || !body.replayable) return 'body_not_kept'
    if (inFlight >= maxInFlight) return 'too_many_in_flight'
    return bytes + body.bytes > maxBytes ? 'too_many_bytes' : undefined
  }

  function judge(live: LiveRequest, variant: string, shadow: Shadow): void {
    const counts = live.countsOf(variant)
    const failure = failureOf(shadow)
    counts?.attempt('mirror', failure === undefined ? outcomeOf(shadow) : 'failure', failure ?? '')
    if (live.prediction === undefined) return
    const comparison = compare(live.prediction, shadow, failure)
    counts?.compared(comparison.result)
    if (comparison.scores !== undefined)
      counts?.comparedBy({ ...comparison.scores, latencySeconds: (shadow.ms - live.latencyMs) / 1000 })
    if (isRecorded() && mayRecord(comparison.result))
      options.onComparison(recordOf({ live, prediction: live.prediction, variant, shadow, comparison }))
  }

  function recordOf(compared: Compared): ComparisonRecord {
    const { live, prediction, variant, shadow, comparison } = compared
    const { result, scores, mirrored } = comparison
    return {
      at: new Date(options.wallClock()).toISOString(),
      route,
      variant,
      requestId: live.requestId,
      result,
      inputDigest: `sha256:${digestOf(live.body)}`,
      ...(settings.recordInputs && { inputBase64: inputOf(live.body) }),
      live: answerOf(live.variant, prediction, live.latencyMs),
      mirrored: typeof mirrored === 'string' ? { failure: mirrored } : answerOf(variant, mirrored, shadow.ms),
      ...(scores && { confidenceDifference: scores.confidence, topKOverlap: scores.overlap }),
      latencyDifferenceMs: shadow.ms - live.latencyMs,
    }
  }

  return {
    offer(live) {
      if (live.variant !== settings.to) {
        if (isCopied()) send(live, settings.to)
        if (isNoiseSample()) send(live, live.variant)
      }
    },
  }
}

/** Exactly so many percent, evenly spread. */
function createSampler(percent: number): () => boolean {
  const stepBp = Math.round(percent * 100)
  let credit = 0
  return () => {
    credit += stepBp
    if (credit < 10_000) return false
    credit -= 10_000
    return true
  }
}

/** Of each result: a record hashes the whole input, and what people can read in a second is less. */
const RECORDS_PER_SECOND = 50

function createRecordLimit(now: () => number): (result: ComparisonRecord['result']) => boolean {
  const taken = new Map<string, number>()
  let since = now()
  return result => {
    const at = now()
    if (at - since >= 1000) {
      since = at
      taken.clear()
    }
    const count = (taken.get(result) ?? 0) + 1
    taken.set(result, count)
    return count <= RECORDS_PER_SECOND
  }
}

/** The copy's answer, or what went wrong. */
interface Shadow {
  readonly head: AnswerHead | undefined
  readonly text: string | undefined
  readonly failure: CallFailure | undefined
  readonly ms: number
}

function createShadow(finish: (shadow: Shadow) => void): AttemptListener {
  const chunks: Buffer[] = []
  let size = 0
  let head: AnswerHead | undefined
  return {
    onHead(_, answerHead) {
      head = answerHead
    },
    onData(_, chunk) {
      size += chunk.length
      if (size <= MAX_ANSWER_BYTES) chunks.push(chunk)
    },
    onEnd(attempt) {
      const text = size <= MAX_ANSWER_BYTES ? Buffer.concat(chunks).toString('utf8') : undefined
      finish({ head, text, failure: undefined, ms: attempt.seconds * 1000 })
    },
    onFailure: (attempt, failure) => finish({ head, text: undefined, failure, ms: attempt.seconds * 1000 }),
  }
}

function failureOf({ head, failure }: Shadow): string | undefined {
  if (failure !== undefined) return failure.reason
  const status = head?.status ?? 0
  return status === 503 ? 'overload' : status >= 500 ? '5xx' : undefined
}

function outcomeOf({ head }: Shadow): 'success' | 'client_error' {
  return (head?.status ?? 0) >= 400 ? 'client_error' : 'success'
}

interface Comparison {
  readonly result: ComparisonRecord['result']
  /** Of two predictions. */
  readonly scores?: { readonly confidence: number; readonly overlap: number }
  /** What the copy was answered, or what went wrong. */
  readonly mirrored: Prediction | string
}

interface Compared {
  readonly live: LiveRequest
  readonly prediction: Prediction
  readonly variant: string
  readonly shadow: Shadow
  readonly comparison: Comparison
}

function compare(live: Prediction, { text }: Shadow, failure: string | undefined): Comparison {
  if (failure !== undefined) return { result: 'failure', mirrored: failure }
  const mirrored = text === undefined ? undefined : readPrediction(text)
  if (mirrored === undefined) return { result: 'invalid', mirrored: 'not a prediction' }
  const { result, confidenceDifference, topKOverlap } = comparePredictions(live, mirrored)
  return { result, scores: { confidence: confidenceDifference, overlap: topKOverlap }, mirrored }
}

function answerOf(variant: string, { label, confidence, model_version }: Prediction, latencyMs: number) {
  return { variant, label, confidence, modelVersion: model_version, latencyMs }
}

function digestOf(body: RequestBody): string {
  const hash = createHash('sha256')
  for (const chunk of body.chunks()) hash.update(chunk)
  return hash.digest('hex')
}

function inputOf(body: RequestBody): string {
  return Buffer.concat(body.chunks()).toString('base64')
}
