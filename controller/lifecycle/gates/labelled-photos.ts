import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WeirError } from '../../../contract/errors.ts'
import { sampleList } from '../../../contract/samples.ts'
import { describeIssues } from '../../../lib/parse.ts'

export interface LabelledPhoto {
  /** Within its folder. */
  readonly file: string
  readonly label: string
  readonly path: string
}

const MAX_PHOTOS = 10_000
const PHOTO = /\.(jpe?g|png|webp|avif|gif|tiff?)$/i

/**
 * The photos that a folder's samples.json lists, or without one those in a folder for each label, named as the label or as file
 * systems like it: fried-food for "Fried food". Throws `not_found` when there is none.
 */
export async function findLabelledPhotos(
  folder: string,
  labels: readonly string[],
): Promise<readonly LabelledPhoto[]> {
  const listed = await readList(folder)
  const photos = listed ?? (await readFolders(folder, labels))
  if (photos.length === 0) throw new WeirError('not_found', `there are no labelled photos in ${folder}`)
  if (photos.length > MAX_PHOTOS)
    throw new WeirError(
      'invalid_setting',
      `${folder} has ${photos.length} photos, at most ${MAX_PHOTOS} are used`,
    )
  return photos
}

async function readList(folder: string): Promise<LabelledPhoto[] | undefined> {
  const path = join(folder, 'samples.json')
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  const parsed = sampleList.safeParse(parseJson(text, path))
  if (!parsed.success) throw new WeirError('invalid_setting', `${path}: ${describeIssues(parsed.error)}`)
  return parsed.data.map(({ file, label }) => ({ file, label, path: join(folder, file) }))
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new WeirError('invalid_setting', `${path} is not JSON`, { cause })
  }
}

async function readFolders(folder: string, labels: readonly string[]): Promise<LabelledPhoto[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new WeirError('not_found', `there is no folder ${folder}`, { cause })
  })
  const found = await Promise.all(
    entries
      .filter(entry => entry.isDirectory())
      .map(async ({ name }) => {
        const label = labels.find(label => label === name || slug(label) === name)
        const files = label === undefined ? [] : await readdir(join(folder, name))
        return files
          .filter(file => PHOTO.test(file))
          .toSorted()
          .map(file => ({ file: join(name, file), label: label ?? '', path: join(folder, name, file) }))
      }),
  )
  return found.flat()
}

function slug(label: string): string {
  return label.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
}
