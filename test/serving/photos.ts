import sharp, { type Sharp } from 'sharp'

export type Rgb = readonly [red: number, green: number, blue: number]

export const RED: Rgb = [220, 30, 30]
export const GREEN: Rgb = [30, 200, 40]

/** A picture of one colour, to be encoded as the test wishes. */
export function plain([r, g, b]: Rgb, width = 300, height = 240): Sharp {
  return sharp({ create: { width, height, channels: 3, background: { r, g, b } } })
}

/** Noise that does not compress, the same for the same seed. */
export function noisy(width: number, height: number, seed = 1): Sharp {
  const pixels = Buffer.alloc(width * height * 3)
  let state = seed
  for (let index = 0; index < pixels.length; index++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    pixels[index] = state >>> 24
  }
  return sharp(pixels, { raw: { width, height, channels: 3 } })
}
