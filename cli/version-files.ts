import { openAsBlob } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WeirError } from '../contract/errors.ts'
import { modelManifest, namedFiles, unlistedWords } from '../contract/model-manifest.ts'
import { describeIssues } from '../lib/parse.ts'

/** What the manifest names, without reading it into memory. Words of a command that are files go along, to be refused. */
export async function readVersionFiles(folder: string): Promise<{ name: string; files: Map<string, Blob> }> {
  const manifest = parseManifest(await readFile(join(folder, 'model.json'), 'utf8'), folder)
  const names = new Set(['model.json', ...namedFiles(manifest).map(({ file }) => file)])
  const words = 'server' in manifest ? unlistedWords(manifest) : []
  for (const word of words) if (await exists(join(folder, word))) names.add(word)
  const files = new Map<string, Blob>()
  for (const name of names) {
    if (!(await exists(join(folder, name))))
      throw new WeirError('missing_file', `${join(folder, name)} does not exist, and model.json names it`)
    files.set(name, await openAsBlob(join(folder, name)))
  }
  return { name: manifest.name, files }
}

function parseManifest(text: string, folder: string) {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new WeirError('invalid_manifest', `${join(folder, 'model.json')} is not JSON`, { cause })
  }
  const parsed = modelManifest.safeParse(json)
  if (parsed.success) return parsed.data
  throw new WeirError('invalid_manifest', `${join(folder, 'model.json')}: ${describeIssues(parsed.error)}`)
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
