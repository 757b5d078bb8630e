import type { ImagePreprocessing } from '../contract/model-manifest.ts'
import type { OnnxSession } from './onnx-session.ts'
import { normalisationTables, writeNormalised } from './image.ts'

/** One photo's pixels as decoded, or values that a client normalised itself. */
export type ImageRow =
  | { readonly kind: 'pixels'; readonly pixels: Uint8Array }
  | { readonly kind: 'values'; readonly values: Float32Array }

export interface RowsResult {
  /** All rows' outputs, one behind the other. */
  readonly logits: Float32Array
  readonly classes: number
  readonly preprocessMs: number
  readonly inferMs: number
}

export interface ImageRowsOptions {
  readonly session: OnnxSession
  readonly input: string
  readonly output: string
  readonly preprocessing: ImagePreprocessing
  /** Rows in one run of the session. */
  readonly maxBatch: number
}

/**
 * Runs rows in batches through one input buffer that is used again and again: an allocation of 600 KB for each photo
 * doubled the resident memory. One call at a time.
 */
export function createImageRows({ session, input, output, preprocessing, maxBatch }: ImageRowsOptions) {
  const side = preprocessing.centreCrop
  const rowLength = 3 * side * side
  const buffer = new Float32Array(maxBatch * rowLength)
  const tables = normalisationTables(preprocessing)

  function fill(rows: readonly ImageRow[]): void {
    for (const [index, row] of rows.entries()) {
      if (row.kind === 'pixels') writeNormalised(buffer, index * rowLength, row.pixels, tables)
      else buffer.set(row.values, index * rowLength)
    }
  }

  async function runBatch(
    rows: readonly ImageRow[],
  ): Promise<{ logits: Float32Array; preprocessMs: number }> {
    const begun = performance.now()
    fill(rows)
    const preprocessMs = performance.now() - begun
    const data = buffer.subarray(0, rows.length * rowLength)
    const outputs = await session.run([
      { name: input, type: 'float32', shape: [rows.length, 3, side, side], data },
    ])
    const logits = outputs.find(({ name }) => name === output)?.data
    if (!(logits instanceof Float32Array)) throw new Error(`output ${output} is not float32`)
    return { logits, preprocessMs }
  }

  return async (rows: readonly ImageRow[]): Promise<RowsResult> => {
    const begun = performance.now()
    const parts: Float32Array[] = []
    let preprocessMs = 0
    for (let at = 0; at < rows.length; at += maxBatch) {
      const batch = await runBatch(rows.slice(at, at + maxBatch))
      parts.push(batch.logits)
      preprocessMs += batch.preprocessMs
    }
    const logits = parts.length === 1 && parts[0] ? parts[0] : concatenate(parts)
    const inferMs = performance.now() - begun - preprocessMs
    return { logits, classes: logits.length / Math.max(1, rows.length), preprocessMs, inferMs }
  }
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
