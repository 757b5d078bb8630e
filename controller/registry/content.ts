import { createHash } from 'node:crypto'
import { access, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { WeirError } from '../../contract/errors.ts'
import {
  modelManifest,
  namedFiles,
  unlistedWords,
  type CustomManifest,
  type ModelManifest,
  type NamedFile,
} from '../../contract/model-manifest.ts'
import { digestOver, hashFile } from '../../lib/hash.ts'
import { describeIssues } from '../../lib/parse.ts'

export interface Manifest {
  readonly manifest: ModelManifest | CustomManifest
  /** As it was read: the digest is over this, without what the schema adds. */
  readonly json: Readonly<Record<string, unknown>>
  /** What is to be kept of the folder beside model.json. */
  readonly files: readonly string[]
}

export interface Content extends Manifest {
  /** The manifest as it is kept under a name and number, and the digest that it then has. */
  stamp(model: string, version: string): { readonly digest: string; readonly text: string }
}

/** Larger manifests are none: labels, a profile and the files of a server take less. */
const MANIFEST_LIMIT_BYTES = 8 * 1024 * 1024

/** Reads model.json of a folder. Throws `missing_file` or `invalid_manifest`. */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, 'model.json')
  const found = await stat(path).catch(missing('model.json'))
  if (!found.isFile()) throw new WeirError('missing_file', 'model.json is no file')
  if (found.size > MANIFEST_LIMIT_BYTES)
    throw new WeirError('invalid_manifest', 'model.json is larger than 8 MiB')
  return parseManifest(await readFile(path, 'utf8'))
}

function parseManifest(text: string): Manifest {
  const json = parseObject(text)
  const parsed = modelManifest.safeParse(json)
  if (!parsed.success) throw new WeirError('invalid_manifest', `model.json: ${describeIssues(parsed.error)}`)
  const files = [...new Set(namedFiles(parsed.data).map(({ file }) => file))]
  if (files.includes('model.json'))
    throw new WeirError('invalid_manifest', 'model.json lists itself: its hash cannot be known in it')
  return { manifest: parsed.data, json, files }
}

/** Verifies that a folder holds exactly what its manifest says. Throws `missing_file`, `invalid_manifest` or `digest_mismatch`. */
export async function readContent(folder: string): Promise<Content> {
  const read = await readManifest(folder)
  const { manifest, json } = read
  for (const file of namedFiles(manifest)) await verifyFile(folder, file)
  if ('server' in manifest) await refuseUnlisted(folder, manifest)
  const bytes = 'server' in manifest ? createHash('sha256') : await hashFile(join(folder, 'model.onnx'))
  const actual = digestOver(bytes, json)
  if (manifest.digest !== undefined && manifest.digest !== actual) {
    const message = `model.json states the digest ${manifest.digest}, the files have ${actual}`
    throw new WeirError('digest_mismatch', message, { details: { stated: manifest.digest, actual } })
  }
  return {
    ...read,
    stamp(model, version) {
      const stamped = { ...json, name: model, version }
      const digest = digestOver(bytes, stamped)
      return { digest, text: `${JSON.stringify({ ...stamped, digest }, null, 2)}\n` }
    },
  }
}

async function verifyFile(folder: string, { file, sha256 }: NamedFile): Promise<void> {
  const found = await stat(join(folder, file)).catch(missing(file))
  if (!found.isFile()) throw new WeirError('missing_file', `${file} is no file`)
  if (sha256 === undefined) return
  const actual = (await hashFile(join(folder, file))).digest('hex')
  if (actual !== sha256)
    throw new WeirError(
      'digest_mismatch',
      `${file} is not the file that model.json names: its sha256 is ${actual}`,
    )
}

async function refuseUnlisted(folder: string, manifest: CustomManifest): Promise<void> {
  for (const word of unlistedWords(manifest)) {
    const isThere = await access(join(folder, word)).then(
      () => true,
      () => false,
    )
    if (isThere)
      throw new WeirError('invalid_manifest', `the command names ${word}, which server.files does not list`)
  }
}

/** For a rejected promise about a file: one that is not there is a refusal, everything else a failure of ours. */
function missing(file: string) {
  return (cause: NodeJS.ErrnoException): never => {
    if (cause.code !== 'ENOENT' && cause.code !== 'ENOTDIR') throw cause
    throw new WeirError('missing_file', `${file} is missing`, { cause })
  }
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(text)
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return { ...json }
  } catch (cause) {
    throw new WeirError('invalid_manifest', 'model.json is not JSON', { cause })
  }
  throw new WeirError('invalid_manifest', 'model.json is no object')
}
