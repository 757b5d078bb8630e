import type { DecodedImage } from './image.ts'

/** Fractions of the full range, as the manifest's profile counts them (contract/model-manifest.ts); size and shape besides. */
export interface ImageFeatures {
  readonly brightness: number
  readonly contrast: number
  readonly saturation: number
  /** Mean absolute Laplacian of the luma: low where the photo is blurred. */
  readonly sharpness: number
  readonly aspectRatio: number
  readonly megapixels: number
}

// ITU-R BT.601, in thousandths, so that the luma is a whole number.
const RED = 299
const GREEN = 587
const BLUE = 114
const FULL_LUMA = 255 * (RED + GREEN + BLUE)

/** Used again for every photo: 200 KB each time made the collector of this thread run twice as often. */
let luma = new Int32Array(0)

/**
 * Of the pixels that the model sees (height, width, RGB). One pass for the sums, one over the luma for its edges, in integers
 * and without a branch: it runs for every photo.
 */
export function imageFeatures({ pixels, width, height }: DecodedImage, side: number): ImageFeatures {
  const count = side * side
  if (luma.length < count) luma = new Int32Array(count)
  let sum = 0
  let sumOfSquares = 0
  let spread = 0
  for (let pixel = 0, at = 0; pixel < count; pixel++, at += 3) {
    const red = pixels[at] as number
    const green = pixels[at + 1] as number
    const blue = pixels[at + 2] as number
    const value = RED * red + GREEN * green + BLUE * blue
    luma[pixel] = value
    sum += value
    sumOfSquares += value * value
    spread += absolute(red - green) + absolute(green - blue) + absolute(blue - red)
  }
  const mean = sum / count
  return {
    brightness: mean / FULL_LUMA,
    contrast: Math.sqrt(Math.max(0, sumOfSquares / count - mean * mean)) / FULL_LUMA,
    saturation: spread / 2 / count / 255, // the three differences add up to twice the largest less the smallest
    sharpness: meanLaplacian(side) / FULL_LUMA,
    aspectRatio: width / height,
    megapixels: (width * height) / 1e6,
  }
}

function meanLaplacian(side: number): number {
  let sum = 0
  for (let y = 1; y < side - 1; y++) {
    for (let x = 1, at = y * side + 1; x < side - 1; x++, at++) {
      const neighbours =
        (luma[at - 1] as number) +
        (luma[at + 1] as number) +
        (luma[at - side] as number) +
        (luma[at + side] as number)
      sum += absolute(4 * (luma[at] as number) - neighbours)
    }
  }
  return sum / (side - 2) ** 2
}

/** Of a 32-bit integer. */
function absolute(value: number): number {
  const sign = value >> 31
  return (value ^ sign) - sign
}
