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

/** Of the pixels that the model sees (height, width, RGB). One pass for the sums, one over the luma for its edges. */
export function imageFeatures({ pixels, width, height }: DecodedImage, side: number): ImageFeatures {
  const count = side * side
  const luma = new Float32Array(count)
  let sum = 0
  let sumOfSquares = 0
  let saturation = 0
  for (let pixel = 0, at = 0; pixel < count; pixel++, at += 3) {
    const red = pixels[at] as number
    const green = pixels[at + 1] as number
    const blue = pixels[at + 2] as number
    const value = 0.299 * red + 0.587 * green + 0.114 * blue
    luma[pixel] = value
    sum += value
    sumOfSquares += value * value
    saturation += Math.max(red, green, blue) - Math.min(red, green, blue)
  }
  const mean = sum / count
  return {
    brightness: mean / 255,
    contrast: Math.sqrt(Math.max(0, sumOfSquares / count - mean * mean)) / 255,
    saturation: saturation / count / 255,
    sharpness: meanLaplacian(luma, side) / 255,
    aspectRatio: width / height,
    megapixels: (width * height) / 1e6,
  }
}

function meanLaplacian(luma: Float32Array, side: number): number {
  let sum = 0
  for (let y = 1; y < side - 1; y++) {
    for (let x = 1, at = y * side + 1; x < side - 1; x++, at++) {
      const neighbours =
        (luma[at - 1] as number) +
        (luma[at + 1] as number) +
        (luma[at - side] as number) +
        (luma[at + side] as number)
      sum += Math.abs(4 * (luma[at] as number) - neighbours)
    }
  }
  return sum / (side - 2) ** 2
}
