import { once } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import type { ImagePreprocessing, ModelManifest } from '../../contract/model-manifest.ts'
import { createImageRows } from '../../serving/image-rows.ts'
import { decodeImage, DEFAULT_MAX_PIXELS } from '../../serving/image.ts'
import type { ModelFiles } from '../../serving/model.ts'
import { openSession } from '../../serving/onnx-session.ts'

export interface LimitJob {
  readonly model: ModelFiles
  readonly photos: readonly Uint8Array[]
  readonly durationMs: number
}

// The in-process limit: decode and infer, one photo after another, in a thread that does nothing else.
const port = parentPort
if (!port) throw new Error('this is a thread of bench/serving/limit.ts')
const { model, photos, durationMs } = workerData as LimitJob
if (!model.manifest) throw new Error('the model has no manifest')
const { input, output } = model.manifest
const preprocessing = imagePreprocessing(model.manifest)
const session = await openSession(model.bytes, 1)
const infer = createImageRows({ session, input: input.name, output: output.name, preprocessing, maxBatch: 1 })

async function predict(photo: Uint8Array): Promise<void> {
  const { pixels } = await decodeImage(photo, preprocessing, { maxPixels: DEFAULT_MAX_PIXELS })
  await infer([{ kind: 'pixels', pixels }])
}

for (const photo of photos.slice(0, 5)) await predict(photo)
const asked = once(port, 'message')
port.postMessage('warm')
await asked
const begun = performance.now()
let predictions = 0
while (performance.now() - begun < durationMs) {
  const photo = photos[predictions % photos.length]
  if (photo) await predict(photo)
  predictions += 1
}
const result = { predictions, ms: performance.now() - begun }
port.postMessage(result)
await session.release()
port.close()

function imagePreprocessing({ preprocessing }: ModelManifest): ImagePreprocessing {
  if (preprocessing.kind === 'image') return preprocessing
  throw new Error('the model takes no images')
}
