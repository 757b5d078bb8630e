import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { contentDigest } from '../../lib/hash.ts'
import { colourClassifier } from './tiny-onnx.ts'

export const COLOURS = ['Red', 'Green', 'Blue']

/** A manifest that fits colourClassifier(); the digest is added when it is written. */
export function colourManifest(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    name: 'colours',
    version: '1',
    labels: COLOURS,
    input: { name: 'input', type: 'float32', shape: [-1, 3, 224, 224] },
    output: { name: 'logits', type: 'float32', shape: [-1, 3] },
    preprocessing: {
      kind: 'image',
      colour: 'RGB',
      resizeShortSide: 256,
      interpolation: 'bilinear',
      antialias: true,
      centreCrop: 224,
      scale: 1 / 255,
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225],
    },
    ...changes,
  }
}

export interface ModelFolder {
  readonly manifest?: Readonly<Record<string, unknown>>
  readonly model?: Uint8Array
  readonly files?: Readonly<Record<string, Uint8Array>>
}

/** Writes a version's folder under `parent` and returns its path. */
export async function writeModelFolder(
  parent: string,
  { manifest = colourManifest(), model = colourClassifier(), files = {} }: ModelFolder = {},
): Promise<string> {
  const folder = join(parent, 'model', String(manifest['version']))
  await mkdir(folder, { recursive: true })
  const withDigest = { digest: contentDigest(model, manifest), ...manifest }
  await writeFile(join(folder, 'model.onnx'), model)
  await writeFile(join(folder, 'model.json'), JSON.stringify(withDigest))
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  return folder
}
