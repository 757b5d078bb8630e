import { openAsBlob } from 'node:fs'
import { access, readFile, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { WeirError } from '../contract/errors.ts'
import { modelManifest, namedFiles, unlistedWords } from '../contract/model-manifest.ts'
import { describeIssues } from '../lib/parse.ts'

/** What the manifest names, without reading it into memory. What is wrong with the folder is said before anything is sent. */
export async function readVersionFiles(folder: string): Promise<{ name: string; files: Map<string, Blob> }> {
  await requireFolder(folder)
  await requireFile(folder, 'model.json', 'it is no version without it (docs/serving.md says what it holds)')
  const manifest = parseManifest(await readFile(join(folder, 'model.json'), 'utf8'), folder)
  const words = 'server' in manifest ? unlistedWords(manifest) : []
  for (const word of words) if (await exists(join(folder, word))) throw unlisted(word)
  const files = new Map<string, Blob>()
  for (const name of ['model.json', ...namedFiles(manifest).map(({ file }) => file)]) {
    await requireFile(folder, name, 'model.json names it')
    files.set(name, await openAsBlob(join(folder, name)))
  }
  return { name: manifest.name, files }
}

async function requireFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(unlessAbsent)
  if (found === undefined) throw new WeirError('missing_file', `there is no folder ${folder}`)
  if (!found.isDirectory())
    throw new WeirError('missing_file', `${folder} is a file: name the folder that has model.json`)
}

/** Whoever made the folder must not choose what is read elsewhere on this machine. */
async function requireFile(folder: string, name: string, why: string): Promise<void> {
  const path = join(folder, name)
  const found = await stat(path).catch(unlessAbsent)
  if (found === undefined) throw new WeirError('missing_file', `${path} does not exist, and ${why}`)
  if (!found.isFile()) throw new WeirError('missing_file', `${path} is no file, and ${why}`)
  const [within, target] = [await realpath(folder), await realpath(path)]
  if (target.startsWith(within + sep)) return
  throw new WeirError(
    'invalid_setting',
    `${path} leads out of the folder, to ${target}: put the file itself there`,
  )
}

function unlisted(word: string): WeirError {
  return new WeirError('invalid_manifest', `the command names ${word}, which server.files does not list`)
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

function unlessAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
