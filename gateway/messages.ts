import type { RoutePolicy } from '../contract/policy.ts'
import type { Feedback } from '../contract/feedback.ts'
import type { TraceSettings } from './trace-settings.ts'

// What the primary and its workers tell each other. Messages of one worker arrive in the order they were sent.

/** A route as committed: the version grows by one with every change, the epoch is that of the last change of weights or of `splitBy`. */
export interface RouteRecord {
  readonly policy: RoutePolicy
  readonly version: number
  readonly epoch: number
}

/** up: takes requests; out: ejected or unhealthy; trial: half-open, one request at a time may show that it is back. */
export type EndpointState = 'up' | 'out' | 'trial'

/** Which endpoint of which variant; the same address behind two variants is judged for each. */
export type EndpointKey = string

export function endpointKey(route: string, variant: string, endpoint: string): EndpointKey {
  return `${route} ${variant} ${endpoint}`
}

export interface Readiness {
  readonly ready: boolean
  readonly reasons: readonly string[]
}

export interface WorkerSettings {
  readonly host: string
  readonly port: number
  /** Limits are per gateway; this worker holds one part of so many. */
  readonly workers: number
  readonly predictionKey: string
  readonly logLevel: string
  /** Absent: no traces. */
  readonly traces?: TraceSettings | undefined
}

export type ToWorker =
  | {
      readonly type: 'start'
      readonly revision: number
      readonly settings: WorkerSettings
      readonly routes: readonly RouteRecord[]
      readonly endpoints: readonly (readonly [EndpointKey, EndpointState])[]
      readonly readiness: Readiness
    }
  | {
      readonly type: 'policy'
      readonly revision: number
      readonly set: readonly RouteRecord[]
      readonly removed: readonly string[]
    }
  | { readonly type: 'endpoints'; readonly states: readonly (readonly [EndpointKey, EndpointState])[] }
  | { readonly type: 'readiness'; readonly readiness: Readiness }
  | { readonly type: 'flush'; readonly flush: number }
  | { readonly type: 'feedback-answer'; readonly id: number; readonly verdict: SpendVerdict }
  | { readonly type: 'drain' }

export type ToPrimary =
  | { readonly type: 'ready'; readonly revision: number }
  | { readonly type: 'failed'; readonly problem: string }
  | { readonly type: 'ack'; readonly revision: number }
  | { readonly type: 'counts'; readonly counts: Counts; readonly flush?: number | undefined }
  | { readonly type: 'endpoint-reports'; readonly reports: readonly EndpointReport[] }
  | { readonly type: 'feedback'; readonly id: number; readonly report: FeedbackReport }
  | { readonly type: 'comparison'; readonly record: ComparisonRecord }

/** What was counted since the last message. */
export interface Counts {
  readonly counters: readonly (readonly [series: string, delta: number])[]
  readonly histograms: readonly HistogramDelta[]
}

export interface HistogramDelta {
  readonly series: string
  readonly sum: number
  /** Sparse: index of the bucket (the last is +Inf), how many fell into it. */
  readonly buckets: readonly (readonly [index: number, count: number])[]
}

export interface EndpointReport {
  readonly key: EndpointKey
  /** Failures in a row since the last report. */
  readonly failures: number
  /** An answer came before these failures (or, with none, last): the row before is over. */
  readonly answered: boolean
}

/** What a prediction id says, once its signature holds. */
export interface PredictionClaims {
  readonly route: string
  readonly variant: string
  readonly label: string
  readonly epoch: number
  /** Milliseconds since the Unix epoch. */
  readonly at: number
  readonly nonce: string
}

export interface FeedbackReport {
  readonly claims: PredictionClaims
  readonly expiresAt: number
  readonly feedback: Feedback
}

export type SpendVerdict = 'counted' | 'spent' | 'full'

export interface ComparisonRecord {
  readonly at: string
  readonly route: string
  readonly variant: string
  readonly requestId: string
  readonly result: 'agree' | 'disagree' | 'invalid' | 'failure'
  readonly inputDigest: string
  readonly inputBase64?: string
  readonly live: ComparedAnswer
  readonly mirrored: ComparedAnswer | { readonly failure: string }
  readonly confidenceDifference?: number
  readonly topKOverlap?: number
  readonly latencyDifferenceMs: number
}

export interface ComparedAnswer {
  readonly variant: string
  readonly label: string
  readonly confidence: number
  readonly modelVersion: string
  readonly latencyMs: number
}
