import { isAscii } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import type { Prediction } from '../../contract/prediction.ts'
import type { PredictionIds } from '../prediction-id.ts'
import type { Answer } from './answer.ts'
import type { Route } from './policy.ts'
import { readPrediction, withPredictionId } from './prediction-contract.ts'

export interface Certified {
  readonly prediction: Prediction
  /** The answer with its prediction id: characters that are a byte each, or bytes. */
  readonly payload: Buffer | string
}

interface CertifyOptions {
  readonly route: Route
  readonly ids: PredictionIds
  /** Milliseconds since the Unix epoch. */
  readonly now: number
}

/** Holds a complete answer against the prediction contract; undefined: it is no prediction. */
export function certify(
  { payload, variant }: Answer,
  { route, ids, now }: CertifyOptions,
): Certified | undefined {
  const text = payload.toString('utf8')
  const prediction = readPrediction(text)
  if (prediction === undefined) return undefined
  const { label } = prediction
  const id = ids.sign({
    route: route.name,
    variant: variant.name,
    label,
    epoch: route.epoch,
    at: now,
    nonce: nextNonce(),
  })
  const certified = withPredictionId(text, id)
  return { prediction, payload: isAscii(payload) ? certified : Buffer.from(certified) }
}

const WORKER_NONCE = randomBytes(9).toString('base64url')
let nonces = 0

/** Unlike any other nonce of this gateway: ids differ, so that each can be spent once. */
function nextNonce(): string {
  return `${WORKER_NONCE}${(nonces++).toString(36)}`
}
