import { stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { ModelManifest, Reference } from '../contract/model-manifest.ts'
import { sha256 } from '../lib/hash.ts'
import { checkDigest, ModelRefused, parseObject, readManifest, readPart } from './manifest.ts'
import { foreignModelFormat, howToExport } from './model-format.ts'
import { readGraphFacts, type GraphFacts } from './onnx-graph.ts'

/** Read from disk and checked as far as that goes without running it. */
export interface ModelFiles {
  readonly name: string
  readonly bytes: Uint8Array
  readonly facts: GraphFacts
  /** Undefined for a bare ONNX file. */
  readonly manifest: ModelManifest | undefined
  readonly reference: ReferenceFiles | undefined
  /** The tokenizer.json of a text model. */
  readonly tokenizer: unknown
}

export interface ReferenceFiles {
  readonly image: Uint8Array
  /** A lossless image of the expected pixels. */
  readonly tensor: Uint8Array
  readonly tensorSha256: string | undefined
  readonly label: string
}

/** A version's folder (model.onnx and model.json), or a bare ONNX file. Throws ModelRefused. */
export async function readModel(path: string): Promise<ModelFiles> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new ModelRefused(`there is no ${basename(path)} to serve`, { cause })
  })
  return found.isDirectory() ? readFolder(path) : readBareFile(path)
}

async function readBareFile(path: string): Promise<ModelFiles> {
  const bytes = await readPart(dirname(path), basename(path))
  refuseForeign(bytes)
  const name = basename(path)
    .replace(/\.onnx$/, '')
    .replaceAll(/[^\w.-]/g, '-')
  return {
    name,
    bytes,
    facts: checkedFacts(bytes),
    manifest: undefined,
    reference: undefined,
    tokenizer: undefined,
  }
}

async function readFolder(folder: string): Promise<ModelFiles> {
  const version = await readManifest(folder)
  const { manifest } = version
  if ('server' in manifest) throw new ModelRefused('model.json names a command, not a model')
  const bytes = await readPart(folder, 'model.onnx')
  refuseForeign(bytes)
  checkDigest(bytes, version)
  const facts = checkedFacts(bytes)
  const reference = manifest.reference && (await readReference(folder, manifest.reference))
  const tokenizer = await readTokenizer(folder, manifest)
  return { name: manifest.name, bytes, facts, manifest, reference, tokenizer }
}

function refuseForeign(bytes: Uint8Array): void {
  const foreign = foreignModelFormat(bytes)
  if (foreign !== undefined) throw new ModelRefused(howToExport(foreign))
}

function checkedFacts(bytes: Uint8Array): GraphFacts {
  const facts = readGraphFacts(bytes)
  if (!facts) throw new ModelRefused('the model file is not ONNX, or is cut short')
  if (facts.hasExternalData)
    throw new ModelRefused('the model keeps weights in other files; save it as one file')
  return facts
}

async function readTokenizer(folder: string, { preprocessing }: ModelManifest): Promise<unknown> {
  if (preprocessing.kind !== 'text') return undefined
  const { tokenizer, tokenizerSha256 } = preprocessing
  const bytes = await readPart(folder, tokenizer)
  if (tokenizerSha256 !== undefined && sha256(bytes) !== tokenizerSha256) {
    throw new ModelRefused(`${tokenizer} is not the tokenizer that model.json names`)
  }
  return parseObject(bytes, tokenizer)
}

async function readReference(folder: string, reference: Reference): Promise<ReferenceFiles> {
  const [image, tensor] = await Promise.all([
    readPart(folder, reference.image),
    readPart(folder, reference.tensor),
  ])
  if (reference.imageSha256 !== undefined && sha256(image) !== reference.imageSha256) {
    throw new ModelRefused(`${reference.image} is not the reference image that model.json names`)
  }
  return { image, tensor, tensorSha256: reference.tensorSha256, label: reference.label }
}
