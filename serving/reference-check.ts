import sharp from 'sharp'
import type { ImagePreprocessing } from '../contract/model-manifest.ts'
import { sha256 } from '../lib/hash.ts'
import { decodeImage, DEFAULT_MAX_PIXELS } from './image.ts'
import { ModelRefused } from './manifest.ts'
import type { ReferenceFiles } from './model.ts'

/** In normalised units, as the parity bench measures; sharp and Pillow differ by 0.002 on ordinary photos. */
const MAX_MEAN_DIFFERENCE = 0.02

/**
 * Decodes the reference image and compares it with the pixels that training saw, since preprocessing that differs between
 * training and serving costs accuracy without a single error. Throws ModelRefused.
 */
export async function checkReferencePixels(
  reference: ReferenceFiles,
  preprocessing: ImagePreprocessing,
): Promise<void> {
  const { pixels } = await decodeImage(reference.image, preprocessing, { maxPixels: DEFAULT_MAX_PIXELS })
  const expected = await decodeTensor(reference)
  if (expected.byteLength !== pixels.byteLength) {
    throw new ModelRefused(
      `the reference tensor has ${expected.byteLength} values, preprocessing gives ${pixels.byteLength}`,
    )
  }
  const difference = meanDifference(pixels, expected, preprocessing)
  if (difference > MAX_MEAN_DIFFERENCE) {
    throw new ModelRefused(
      `preprocessing differs from training: the reference image is off by ${difference.toFixed(4)} on average (limit ${MAX_MEAN_DIFFERENCE})`,
    )
  }
}

export function checkReferenceLabel(reference: ReferenceFiles, label: string): void {
  if (label === reference.label) return
  throw new ModelRefused(`the reference image must be "${reference.label}", the model says "${label}"`)
}

async function decodeTensor({ tensor, tensorSha256 }: ReferenceFiles): Promise<Uint8Array> {
  const pixels = await sharp(tensor)
    .removeAlpha()
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer()
    .catch((cause: unknown) => {
      throw new ModelRefused('the reference tensor is not a readable image', { cause })
    })
  if (tensorSha256 !== undefined && sha256(pixels) !== tensorSha256) {
    throw new ModelRefused('the reference tensor is not the one that model.json names')
  }
  return pixels
}

function meanDifference(
  actual: Uint8Array,
  expected: Uint8Array,
  { scale, std }: ImagePreprocessing,
): number {
  const unit = std.map(deviation => scale / deviation)
  let sum = 0
  for (const [index, value] of actual.entries()) {
    sum += Math.abs(value - (expected[index] ?? 0)) * (unit[index % 3] ?? 0)
  }
  return sum / actual.length
}
