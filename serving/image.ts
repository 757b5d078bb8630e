import sharp, { type Sharp } from 'sharp'
import { WeirError } from '../contract/errors.ts'
import type { ImagePreprocessing } from '../contract/model-manifest.ts'
import { sniffImage } from './image-format.ts'

// Decoding and resizing as torchvision does it (Resize with antialias, CenterCrop), measured against it by bench/parity.ts.

sharp.cache(false)
sharp.concurrency(1)
// A second wall behind image-format.ts: no decoder but these can be reached, whatever a file pretends to be.
sharp.block({ operation: ['VipsForeignLoad'] })
sharp.unblock({
  operation: [
    'VipsForeignLoadJpeg',
    'VipsForeignLoadPng',
    'VipsForeignLoadWebp',
    'VipsForeignLoadHeif',
    'VipsForeignLoadNsgif',
    'VipsForeignLoadTiff',
  ],
})

export interface DecodedImage {
  /** Height by width by RGB, `centreCrop` squared times 3 bytes. */
  readonly pixels: Uint8Array
  /** Of the photo as it is looked at, before resizing. */
  readonly width: number
  readonly height: number
}

export interface ImageLimits {
  readonly maxPixels: number
  /** Runs the decoding of large images one after another, so that two of them do not fill the memory at once. */
  readonly inTurn?: <Result>(work: () => Promise<Result>) => Promise<Result>
}

/** Photos of 48 megapixels exist, but decoded at four bytes a pixel one would fill half of a version's memory limit. */
export const DEFAULT_MAX_PIXELS = 32_000_000
const LARGE_PIXELS = 4_000_000
const MAX_ASPECT = 64
const DECODE_LIMIT_SECONDS = 15
/** Beyond this reduction a JPEG may be decoded at a fraction of its size: a full decode costs more than it brings. */
const FULL_DECODE_UP_TO = 4

/** Throws a WeirError that says what is wrong with the image, never what the decoder printed. */
export async function decodeImage(
  bytes: Uint8Array,
  preprocessing: ImagePreprocessing,
  { maxPixels, inTurn = work => work() }: ImageLimits,
): Promise<DecodedImage> {
  refuseByContent(bytes)
  const image = open(bytes, maxPixels)
  const { width, height } = await readSize(image, maxPixels)
  const decode = () => resizeAndCrop(image, { width, height }, preprocessing)
  const pixels = await (width * height > LARGE_PIXELS ? inTurn(decode) : decode()).catch(refuseBroken)
  return { pixels, width, height }
}

function refuseByContent(bytes: Uint8Array): void {
  if (bytes.byteLength === 0) throw new WeirError('empty_file', 'the file is empty')
  const sniffed = sniffImage(bytes)
  if (sniffed.kind === 'image') return
  if (sniffed.kind === 'refused') {
    throw new WeirError('unsupported_media_type', `this is ${sniffed.what}; ${ACCEPTED}`)
  }
  throw new WeirError('image_undecodable', `this is not an image of a known format; ${ACCEPTED}`)
}

const ACCEPTED = 'send a JPEG, PNG, WebP, AVIF, GIF or TIFF image'

function open(bytes: Uint8Array, maxPixels: number): Sharp {
  return sharp(bytes, { failOn: 'error', limitInputPixels: maxPixels, ignoreIcc: true, autoOrient: true })
}

async function readSize(image: Sharp, maxPixels: number): Promise<{ width: number; height: number }> {
  const { autoOrient } = await image.metadata().catch(refuseBroken)
  const { width, height } = autoOrient
  if (width * height > maxPixels) throw tooManyPixels()
  if (Math.max(width, height) > MAX_ASPECT * Math.min(width, height)) {
    throw new WeirError(
      'image_undecodable',
      `the image is more than ${MAX_ASPECT} times as long as it is wide`,
    )
  }
  return { width, height }
}

function tooManyPixels(): WeirError {
  return new WeirError('image_too_large', 'the image has more pixels than this server decodes')
}

function refuseBroken(cause: unknown): never {
  if (cause instanceof Error && /pixel limit|too large|exceeds/i.test(cause.message)) throw tooManyPixels()
  if (cause instanceof Error && /timeout/i.test(cause.message)) {
    throw new WeirError('image_too_large', `the image takes more than ${DECODE_LIMIT_SECONDS} s to decode`)
  }
  throw new WeirError('image_undecodable', 'the image is damaged or cut short', { cause })
}

async function resizeAndCrop(
  image: Sharp,
  size: { width: number; height: number },
  preprocessing: ImagePreprocessing,
): Promise<Uint8Array> {
  const resized = resizedSize(size, preprocessing.resizeShortSide)
  const crop = centreCrop(resized, preprocessing.centreCrop)
  const shrink = Math.min(size.width, size.height) / preprocessing.resizeShortSide
  // sharp does not shrink while loading what is extracted from first, and the whole area is an area like any other
  if (shrink <= FULL_DECODE_UP_TO) image.extract({ left: 0, top: 0, ...size })
  const { data } = await image
    .flatten({ background: 'white' })
    .resize({ ...resized, fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false })
    .extract(crop)
    .toColourspace('srgb')
    .timeout({ seconds: DECODE_LIMIT_SECONDS })
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  return data
}

interface Size {
  readonly width: number
  readonly height: number
}

/** torchvision's Resize: the short side exactly, the long side cut to whole pixels. */
export function resizedSize({ width, height }: Size, shortSide: number): Size {
  const long = Math.trunc((shortSide * Math.max(width, height)) / Math.min(width, height))
  return width <= height ? { width: shortSide, height: long } : { width: long, height: shortSide }
}

/** torchvision's CenterCrop, which rounds as Python does: halves to the even neighbour. */
export function centreCrop({ width, height }: Size, side: number) {
  return {
    left: roundHalfToEven((width - side) / 2),
    top: roundHalfToEven((height - side) / 2),
    width: side,
    height: side,
  }
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value)
  if (value - floor !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

/** uint8 to the model's float, one table of 256 values a channel. */
export function normalisationTables({ scale, mean, std }: ImagePreprocessing): readonly Float32Array[] {
  return mean.map((channelMean, channel) =>
    Float32Array.from({ length: 256 }, (_, value) => (value * scale - channelMean) / (std[channel] ?? 1)),
  )
}

/** Writes pixels (height, width, RGB) as one normalised row (RGB, height, width) at `offset` of the input tensor. */
export function writeNormalised(
  target: Float32Array,
  offset: number,
  pixels: Uint8Array,
  tables: readonly Float32Array[],
): void {
  const plane = pixels.length / 3
  for (const [channel, table] of tables.entries()) {
    const start = offset + channel * plane
    for (let pixel = 0, from = channel; pixel < plane; pixel++, from += 3) {
      target[start + pixel] = table[pixels[from] as number] as number
    }
  }
}
