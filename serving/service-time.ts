import type { StageTimes } from './inference-messages.ts'

export interface ServiceTime {
  observe(stages: StageTimes, bodyBytes: number): void
  /** How long a thread will take for a body of this size. */
  estimateMs(bodyBytes: number): number
}

const WEIGHT_OF_LATEST = 0.05
/** Until something has been measured: a photo on a slow core. */
const INITIAL_INFER_MS = 20
const INITIAL_DECODE_MS_PER_BYTE = 0.00005
const INITIAL_BYTES = 64 * 1024
/** Reading less takes a fixed time, which says nothing of photos. */
const LEAST_BYTES = 4096

/**
 * Moving averages of what the session takes, which is always the same, and of decoding, which grows with the body: a line through
 * the origin by least squares, in which large bodies count for more.
 */
export function createServiceTime(): ServiceTime {
  let inferMs = INITIAL_INFER_MS
  let bytesSquared = INITIAL_BYTES ** 2
  let bytesByMs = bytesSquared * INITIAL_DECODE_MS_PER_BYTE
  return {
    observe({ decodeMs, preprocessMs, inferMs: tookMs }, bodyBytes) {
      if (tookMs > 0) inferMs += WEIGHT_OF_LATEST * (tookMs + preprocessMs - inferMs)
      if (bodyBytes < LEAST_BYTES) return
      bytesSquared += WEIGHT_OF_LATEST * (bodyBytes ** 2 - bytesSquared)
      bytesByMs += WEIGHT_OF_LATEST * (bodyBytes * decodeMs - bytesByMs)
    },
    estimateMs: bodyBytes => inferMs + (bytesByMs / bytesSquared) * bodyBytes,
  }
}
