import type { NamedTensor } from './tensor.ts'
import type { WireAnswer } from './inference-messages.ts'

/** What a request asks of the model, read from whichever protocol it came by. */
export interface ModelRequest {
  readonly instances: Instances
  /** The answer in the request's own protocol. */
  readonly answer: (outputs: readonly NamedTensor[]) => WireAnswer
}

export type Instances =
  /** Encoded photos, one row each. */
  | { readonly kind: 'images'; readonly images: readonly Uint8Array[] }
  | { readonly kind: 'tensors'; readonly tensors: readonly NamedTensor[] }

/** One request must not hold a thread for long. */
export const MAX_ROWS = 64

export const jsonAnswer = (value: unknown): WireAnswer => ({
  contentType: 'application/json; charset=utf-8',
  headers: {},
  body: JSON.stringify(value),
})
