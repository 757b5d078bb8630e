import { access, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { unlistedWords, type CustomManifest } from '../../contract/model-manifest.ts'
import { sha256 } from '../../lib/hash.ts'
import { checkDigest, ModelRefused, readManifest, readPart } from '../manifest.ts'

/** A version whose manifest names a command instead of a model; its files are the ones that its digest covers. */
export interface CustomVersion {
  readonly folder: string
  readonly manifest: CustomManifest
}

/** Whether a folder's model.json has a `server`. What cannot be read is a model's to complain about. */
export async function namesCommand(path: string): Promise<boolean> {
  try {
    const json: unknown = JSON.parse(await readFile(join(path, 'model.json'), 'utf8'))
    return typeof json === 'object' && json !== null && 'server' in json
  } catch {
    return false
  }
}

/** Throws ModelRefused when the folder is not exactly what its digest says. */
export async function readCustomVersion(path: string): Promise<CustomVersion> {
  const folder = resolve(path)
  const version = await readManifest(folder)
  const { manifest } = version
  if (!('server' in manifest)) throw new ModelRefused('model.json names no command')
  checkDigest(new Uint8Array(), version) // the manifest holds the hashes of the files
  for (const { file, sha256: stated } of manifest.server.files) {
    const actual = sha256(await readPart(folder, file))
    if (actual !== stated) {
      throw new ModelRefused(`${file} is not the file that model.json names: its sha256 is ${actual}`)
    }
  }
  await refuseUnlisted(folder, manifest)
  return { folder, manifest }
}

async function refuseUnlisted(folder: string, manifest: CustomManifest): Promise<void> {
  for (const word of unlistedWords(manifest)) {
    const there = await access(join(folder, word)).then(
      () => true,
      () => false,
    )
    if (there) throw new ModelRefused(`the command names ${word}, which server.files does not list`)
  }
}
