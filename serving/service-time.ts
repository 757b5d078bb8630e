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

/** Moving averages of what the session takes, which is always the same, and of decoding, which grows with the body. */
export function createServiceTime(): ServiceTime {
  let inferMs = INITIAL_INFER_MS
  let decodeMsPerByte = INITIAL_DECODE_MS_PER_BYTE
  return {
    observe(stages, bodyBytes) {
      if (stages.inferMs > 0) inferMs += WEIGHT_OF_LATEST * (stages.inferMs + stages.preprocessMs - inferMs)
      if (bodyBytes > 0) decodeMsPerByte += WEIGHT_OF_LATEST * (stages.decodeMs / bodyBytes - decodeMsPerByte)
    },
    estimateMs: bodyBytes => inferMs + decodeMsPerByte * bodyBytes,
  }
}
