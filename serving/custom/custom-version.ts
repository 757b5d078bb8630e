import { access, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { CustomManifest } from '../../contract/model-manifest.ts'
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
  await refuseUncovered(folder, manifest)
  return { folder, manifest }
}

/** A file of the folder that the command runs and the digest does not cover could change unseen. */
async function refuseUncovered(folder: string, { server }: CustomManifest): Promise<void> {
  const covered = new Set(server.files.map(({ file }) => file))
  for (const argument of server.command.map(word => word.replace(/^(\{dir\}|\.)\//, ''))) {
    if (covered.has(argument) || argument.startsWith('/') || argument.includes('..')) continue
    const there = await access(join(folder, argument)).then(
      () => true,
      () => false,
    )
    if (there && argument !== '.' && argument !== '{dir}') {
      throw new ModelRefused(`the command names ${argument}, which server.files does not list`)
    }
  }
}
