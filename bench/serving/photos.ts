import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'

/** Every photo under a folder, in a fixed order. */
export async function findPhotos(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true })
  const photos = names.filter(name => /\.(jpe?g|png|webp)$/i.test(name)).toSorted()
  if (photos.length === 0) throw new Error(`no photos in ${folder}`)
  return photos.map(name => join(folder, name))
}

/** As JPEG files with a long side of so many pixels; 0 leaves them as they are. */
export async function readPhotos(folder: string, longSide: number): Promise<Buffer[]> {
  const photos = await Promise.all((await findPhotos(folder)).map(path => readFile(path)))
  if (longSide === 0) return photos
  const resize = (photo: Buffer) => sharp(photo).resize(longSide, longSide, { fit: 'inside' })
  return Promise.all(photos.map(photo => resize(photo).jpeg({ quality: 92 }).toBuffer()))
}

const BOUNDARY = 'weir-bench-5f1c2b'
export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`

/** The body of a form with the photo in its field `file`, as a browser sends it. */
export function formOf(photo: Buffer): Buffer {
  const head = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="photo.jpg"\r\ncontent-type: image/jpeg\r\n\r\n`
  return Buffer.concat([Buffer.from(head), photo, Buffer.from(`\r\n--${BOUNDARY}--\r\n`)])
}
