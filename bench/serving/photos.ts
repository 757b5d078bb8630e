import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Every photo under a folder, in a fixed order. */
export async function findPhotos(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true })
  const photos = names.filter(name => /\.(jpe?g|png|webp)$/i.test(name)).toSorted()
  if (photos.length === 0) throw new Error(`no photos in ${folder}`)
  return photos.map(name => join(folder, name))
}
