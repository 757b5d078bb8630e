import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ImagePreprocessing } from '../../contract/model-manifest.ts'
import { topClasses } from '../../serving/class-scores.ts'
import { createImageRows } from '../../serving/image-rows.ts'
import { decodeImage, DEFAULT_MAX_PIXELS } from '../../serving/image.ts'
import { readModel } from '../../serving/model.ts'
import { openSession } from '../../serving/onnx-session.ts'

export interface Comparison {
  readonly photos: number
  /** Of the normalised input tensors, absolute. */
  readonly meanDifference: number
  /** Of the photo that differs most, its mean. */
  readonly maxDifference: number
  /** The share of photos with the same label. */
  readonly agreement: number
}

interface Seen {
  readonly pixels: Uint8Array
  readonly label: number
}

export interface ComparisonOptions {
  readonly photos: readonly string[]
  readonly modelFolder: string
  readonly python: string
}

export async function compareWithReference({
  photos,
  modelFolder,
  python,
}: ComparisonOptions): Promise<Comparison> {
  const { manifest, bytes } = await readModel(modelFolder)
  if (manifest?.preprocessing.kind !== 'image') throw new Error(`${modelFolder} takes no images`)
  const { preprocessing, input, output } = manifest
  const session = await openSession(bytes, 1)
  const infer = createImageRows({
    session,
    input: input.name,
    output: output.name,
    preprocessing,
    maxBatch: 1,
  })
  const expected = await readReference(photos, { modelFolder, python, side: preprocessing.centreCrop })
  const differences: number[] = []
  let same = 0
  for (const [index, photo] of photos.entries()) {
    const { pixels } = await decodeImage(await readFile(photo), preprocessing, {
      maxPixels: DEFAULT_MAX_PIXELS,
    })
    const { logits } = await infer([{ kind: 'pixels', pixels }])
    const reference = expected[index]
    if (!reference) throw new Error(`Python said nothing about ${photo}`)
    differences.push(difference(pixels, reference.pixels, preprocessing))
    if (topClasses(logits, 1)[0]?.index === reference.label) same += 1
  }
  await session.release()
  const meanDifference = differences.reduce((sum, value) => sum + value, 0) / differences.length
  const agreement = same / photos.length
  return { photos: photos.length, meanDifference, maxDifference: Math.max(...differences), agreement }
}

function difference(actual: Uint8Array, expected: Uint8Array, { scale, std }: ImagePreprocessing): number {
  let sum = 0
  for (const [index, value] of actual.entries()) {
    sum += (Math.abs(value - (expected[index] ?? 0)) * scale) / (std[index % 3] ?? 1)
  }
  return sum / actual.length
}

interface ReferenceOptions {
  readonly modelFolder: string
  readonly python: string
  readonly side: number
}

async function readReference(photos: readonly string[], options: ReferenceOptions): Promise<Seen[]> {
  const script = fileURLToPath(new URL('./reference.py', import.meta.url))
  const model = join(options.modelFolder, 'model.onnx')
  const child = spawn(options.python, [script, model, join(options.modelFolder, 'model.json')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(child, 'close')
  child.stdin.end(JSON.stringify(photos))
  const chunks: Buffer[] = []
  for await (const chunk of child.stdout) chunks.push(chunk as Buffer)
  const [code] = (await ended) as [number]
  if (code !== 0) throw new Error(`${options.python} ended with code ${code}`)
  return splitRecords(Buffer.concat(chunks), options.side * options.side * 3)
}

function splitRecords(bytes: Buffer, pixelBytes: number): Seen[] {
  const size = pixelBytes + 2
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, index) => {
    const record = bytes.subarray(index * size, (index + 1) * size)
    return { pixels: record.subarray(0, pixelBytes), label: record.readUInt16LE(pixelBytes) }
  })
}
