import { createHash } from 'node:crypto'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WeirError } from '../../contract/errors.ts'
import { modelManifest, type ModelManifest } from '../../contract/model-manifest.ts'
import { digestOver } from '../../lib/hash.ts'
import { describeIssues } from '../../lib/parse.ts'
import type { Parts } from './onnx-edit.ts'

/** A version as it is about to be written: its manifest has no digest yet. */
export interface VersionContent {
  readonly manifest: Readonly<Record<string, unknown>>
  /** Of model.onnx; none where the manifest names a command. */
  readonly model?: Parts
  readonly files: ReadonlyMap<string, Uint8Array>
}

/** A trained version that scenarios are made of. */
export interface BaseVersion {
  readonly manifest: ModelManifest
  /** As it was read, without the digest: what a schema adds by default is no part of it. */
  readonly json: Readonly<Record<string, unknown>>
  readonly model: Uint8Array
  /** Beside the two: reference image and tensor. */
  readonly files: ReadonlyMap<string, Uint8Array>
}

/** Throws `invalid_setting` where the folder is no version with an image model. */
export async function readBase(folder: string): Promise<BaseVersion> {
  const text = await readFile(join(folder, 'model.json'), 'utf8').catch((cause: unknown) => {
    throw new WeirError('invalid_setting', `--base ${folder} has no model.json that can be read`, { cause })
  })
  const read = parseJson(text, folder)
  const parsed = modelManifest.safeParse(read)
  if (!parsed.success)
    throw new WeirError('invalid_setting', `--base ${folder}/model.json: ${describeIssues(parsed.error)}`)
  const manifest = parsed.data
  if ('server' in manifest || manifest.preprocessing.kind !== 'image')
    throw new WeirError('invalid_setting', `--base ${folder} must be a version with a model of photos`)
  const { digest: _, ...json } = read
  const { reference } = manifest
  const names = reference ? [reference.image, reference.tensor] : []
  const files = await Promise.all(
    names.map(async name => [name, await readFile(join(folder, name))] as const),
  )
  return { manifest, json, model: await readFile(join(folder, 'model.onnx')), files: new Map(files) }
}

function parseJson(text: string, folder: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch (cause) {
    throw new WeirError('invalid_setting', `--base ${folder}/model.json is not JSON`, { cause })
  }
}

/** Writes a folder that can be served and registered, and returns its digest. */
export async function writeVersion(
  folder: string,
  { manifest, model = [], files }: VersionContent,
): Promise<string> {
  await mkdir(folder, { recursive: true })
  const hash = createHash('sha256')
  for (const part of model) hash.update(part)
  const digest = digestOver(hash, manifest)
  if (model.length > 0) await writeParts(join(folder, 'model.onnx'), model)
  for (const [name, bytes] of files) await writeFile(join(folder, name), bytes)
  await writeFile(join(folder, 'model.json'), `${JSON.stringify({ ...manifest, digest }, null, 2)}\n`)
  return digest
}

async function writeParts(path: string, parts: Parts): Promise<void> {
  const file = await open(path, 'w')
  try {
    for (const part of parts) await file.writeFile(part)
  } finally {
    await file.close()
  }
}
