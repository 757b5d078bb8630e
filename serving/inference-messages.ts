import type { ErrorCode } from '../contract/errors.ts'
import type { ImageFeatures } from './image-features.ts'
import type { ModelFiles } from './model.ts'
import type { ServedModel } from './served-model.ts'

// What the HTTP thread and the inference threads say to each other.

/** A request's body as it arrived, to be read by the thread that computes it: the HTTP thread never looks inside. */
export type Task =
  | { readonly protocol: 'predict'; readonly contentType: string; readonly body: Uint8Array }
  | { readonly protocol: 'oip-v2'; readonly headerBytes: number | undefined; readonly body: Uint8Array }
  | { readonly protocol: 'tfs-v1'; readonly body: Uint8Array }

export interface WireAnswer {
  readonly contentType: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
}

/** What one image showed, for drift. */
export interface Observation {
  readonly features: ImageFeatures
  readonly label: number
  /** Of the prediction, in bits divided by the most possible: 0 is certain, 1 is a guess. */
  readonly entropy: number
}

export interface StageTimes {
  readonly decodeMs: number
  readonly preprocessMs: number
  readonly inferMs: number
}

export type TaskResult = { readonly stages: StageTimes } & (
  | { readonly ok: true; readonly answer: WireAnswer; readonly observations: readonly Observation[] }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string }
)

export interface DispatchedTask {
  readonly task: Task
  /** Milliseconds since the epoch after which nobody waits for the answer. */
  readonly deadlineAt: number | undefined
}

export interface WorkerSettings {
  readonly model: ModelFiles
  readonly threads: number
  readonly maxBatch: number
  readonly maxPixels: number
}

export type ToWorker =
  | { readonly type: 'load'; readonly settings: WorkerSettings }
  | { readonly type: 'run'; readonly id: number; readonly tasks: readonly DispatchedTask[] }
  | { readonly type: 'close' }

export type FromWorker =
  | { readonly type: 'loaded'; readonly model: ServedModel; readonly sessionBytes: number }
  | { readonly type: 'refused'; readonly reason: string }
  | { readonly type: 'done'; readonly id: number; readonly results: readonly TaskResult[] }
