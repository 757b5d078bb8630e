import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp, { type Sharp } from 'sharp'

const VARIANTS: Readonly<Record<string, (photo: Sharp) => Sharp>> = {
  '1365 x 1024': photo => photo.resize(1365, 1024, { fit: 'fill' }),
  '4032 x 3024': photo => photo.resize(4032, 3024, { fit: 'fill' }),
  'rotated by EXIF': photo => photo.withExif({ IFD0: { Orientation: '6' } }).withMetadata({ orientation: 6 }),
  '4032 x 3024, rotated by EXIF': photo =>
    photo.resize(4032, 3024, { fit: 'fill' }).withMetadata({ orientation: 6 }),
  'in Display P3': photo => photo.withIccProfile('p3'),
}

/** Writes each kind of copy of every photo as JPEG; returns their paths by kind. */
export async function writeVariants(
  photos: readonly string[],
  folder: string,
): Promise<Map<string, string[]>> {
  const written = new Map<string, string[]>()
  for (const [name, change] of Object.entries(VARIANTS)) {
    const paths: string[] = []
    for (const [index, photo] of photos.entries()) {
      const path = join(folder, `${name.replaceAll(/\W+/g, '-')}-${index}.jpg`)
      await writeFile(path, await change(sharp(photo)).jpeg({ quality: 92 }).toBuffer())
      paths.push(path)
    }
    written.set(name, paths)
  }
  return written
}
