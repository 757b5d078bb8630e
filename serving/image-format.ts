/** Kinds of image that are decoded. Anything else is refused before a decoder sees a byte of it. */
export type ImageFormat = 'JPEG' | 'PNG' | 'WebP' | 'AVIF' | 'GIF' | 'TIFF'

export type SniffedImage =
  | { readonly kind: 'image'; readonly format: ImageFormat }
  /** Known by its content, and refused. */
  | { readonly kind: 'refused'; readonly what: string }
  | { readonly kind: 'unknown' }

const SIGNATURES: readonly (readonly [ImageFormat, readonly number[]])[] = [
  ['JPEG', [0xff, 0xd8, 0xff]],
  ['PNG', [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ['GIF', [0x47, 0x49, 0x46, 0x38]],
  ['TIFF', [0x49, 0x49, 0x2a, 0x00]],
  ['TIFF', [0x4d, 0x4d, 0x00, 0x2a]],
]

const REFUSED: readonly (readonly [string, RegExp])[] = [
  ['an SVG drawing', /^\s*(<\?xml[^>]*>\s*)?(<!--[\s\S]*?-->\s*)*(<!DOCTYPE svg|<svg)/i],
  ['an XML or HTML document', /^\s*<(\?xml|!DOCTYPE|html)/i],
  ['a PDF document', /^%PDF-/],
  ['a PostScript document', /^%!PS/],
  ['a ZIP archive', /^PK/],
  ['a BMP image', /^BM/],
  ['a Photoshop document', /^8BPS/],
]

/** What the first bytes say; names, extensions and content types are not believed. */
export function sniffImage(bytes: Uint8Array): SniffedImage {
  for (const [format, signature] of SIGNATURES) {
    if (signature.every((byte, index) => bytes[index] === byte)) return { kind: 'image', format }
  }
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 512)).toString('latin1')
  if (head.startsWith('RIFF') && head.slice(8, 12) === 'WEBP') return { kind: 'image', format: 'WebP' }
  if (head.slice(4, 8) === 'ftyp') return sniffHeif(head)
  const refused = REFUSED.find(([, pattern]) => pattern.test(head.replace(/^ï»¿/, ''))) // a byte order mark is no content
  return refused ? { kind: 'refused', what: refused[0] } : { kind: 'unknown' }
}

/** An ISO base media file lists the brands it can be read as: https://aomediacodec.github.io/av1-avif/#brands */
function sniffHeif(head: string): SniffedImage {
  const boxBytes = Buffer.from(head.slice(0, 4), 'latin1').readUInt32BE()
  const brands = head.slice(8, Math.min(boxBytes, 256))
  if (/avif|avis/.test(brands)) return { kind: 'image', format: 'AVIF' }
  if (/hei[cxms]|hev[cx]/.test(brands)) return { kind: 'refused', what: 'a HEIC image' }
  return { kind: 'refused', what: 'a video' }
}
