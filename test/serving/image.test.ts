import sharp from 'sharp'
import { t, type Test } from 'tap'
import type { ImagePreprocessing } from '../../contract/model-manifest.ts'
import {
  centreCrop,
  decodeImage,
  normalisationTables,
  resizedSize,
  writeNormalised,
} from '../../serving/image.ts'
import { sniffImage } from '../../serving/image-format.ts'
import { GREEN, noisy, plain, RED } from './photos.ts'

const PREPROCESSING: ImagePreprocessing = {
  kind: 'image',
  colour: 'RGB',
  resizeShortSide: 256,
  interpolation: 'bilinear',
  antialias: true,
  centreCrop: 224,
  scale: 1 / 255,
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
}
const LIMITS = { maxPixels: 32_000_000 }
const decode = (bytes: Uint8Array) => decodeImage(bytes, PREPROCESSING, LIMITS)

t.test('sizes and crops are rounded as torchvision rounds them', async t => {
  t.strictSame(resizedSize({ width: 512, height: 384 }, 256), { width: 341, height: 256 })
  t.strictSame(resizedSize({ width: 384, height: 512 }, 256), { width: 256, height: 341 })
  t.strictSame(resizedSize({ width: 100, height: 100 }, 256), { width: 256, height: 256 })
  // (341 - 224) / 2 = 58.5 and (343 - 224) / 2 = 59.5: Python rounds both to the even neighbour
  t.equal(centreCrop({ width: 341, height: 256 }, 224).left, 58)
  t.equal(centreCrop({ width: 343, height: 256 }, 224).left, 60)
  t.equal(centreCrop({ width: 341, height: 256 }, 224).top, 16)
})

t.test('pixels are scaled, normalised and put into planes', async t => {
  const target = new Float32Array(2 + 12)
  writeNormalised(
    target,
    2,
    Uint8Array.from([255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 2, 3]),
    normalisationTables(PREPROCESSING),
  )
  t.strictSame([...target.subarray(0, 2)], [0, 0])
  t.ok(Math.abs((target[2] ?? 0) - (1 - 0.485) / 0.229) < 1e-6)
  t.ok(Math.abs((target[6] ?? 0) - (0 - 0.456) / 0.224) < 1e-6)
  t.ok(Math.abs((target[13] ?? 0) - (3 / 255 - 0.406) / 0.225) < 1e-6)
})

t.test('the photo is looked at the way up that EXIF says', async t => {
  const halves = await sharp({ create: { width: 400, height: 200, channels: 3, background: 'red' } })
    .composite([{ input: await plain(GREEN, 200, 200).png().toBuffer(), left: 200, top: 0 }])
    .jpeg()
    .withExif({ IFD0: { Orientation: '6' } })
    .toBuffer()
  const upright = await decode(await sharp(halves).keepExif().withMetadata({ orientation: 6 }).toBuffer())
  t.same({ width: upright.width, height: upright.height }, { width: 200, height: 400 })
  const at = (y: number) => [...upright.pixels.subarray(y * 224 * 3, y * 224 * 3 + 3)]
  t.ok((at(5)[0] ?? 0) > 150, 'red above')
  t.ok((at(218)[1] ?? 0) > 150, 'green below')
})

t.test('alpha lies on white; grey, CMYK, 16 bits and palettes become RGB', async t => {
  const clear = sharp({
    create: { width: 300, height: 300, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0 } },
  })
  t.strictSame([...(await decode(await clear.png().toBuffer())).pixels.subarray(0, 3)], [255, 255, 255])
  for (const [name, image] of [
    ['grey', plain([90, 90, 90]).greyscale().toColourspace('b-w').png()],
    ['CMYK', plain([90, 90, 90]).toColourspace('cmyk').jpeg()],
    ['16 bits', plain([90, 90, 90]).toColourspace('rgb16').png()],
    ['16 bits of grey', plain([90, 90, 90]).toColourspace('grey16').png()],
    ['a palette', plain([90, 90, 90]).png({ palette: true })],
  ] as const) {
    const { pixels } = await decode(await image.toBuffer())
    t.equal(pixels.length, 224 * 224 * 3, name)
    for (const value of pixels.subarray(0, 3)) t.ok(Math.abs(value - 90) < 25, `${name}: ${value}`)
  }
})

t.test('of an animation the first frame counts', async t => {
  const frames = await Promise.all([RED, GREEN].map(colour => plain(colour, 64, 64).png().toBuffer()))
  const gif = await sharp(frames, { join: { animated: true } })
    .gif()
    .toBuffer()
  const { pixels } = await decode(gif)
  t.ok((pixels[0] ?? 0) > 150 && (pixels[1] ?? 255) < 100)
})

t.test('a photo of one pixel is enlarged', async t => {
  t.equal((await decode(await plain(RED, 1, 1).png().toBuffer())).pixels.length, 224 * 224 * 3)
})

function refuses(t: Test, bytes: Uint8Array, code: string, name: string) {
  return t.rejects(decode(bytes), { code }, name)
}

t.test('truncated images are refused, wherever they end', async t => {
  for (const format of ['jpeg', 'png', 'webp', 'gif', 'avif', 'tiff'] as const) {
    const whole = await noisy(160, 120).toFormat(format).toBuffer()
    for (let share = 0.05; share < 0.95; share += 0.1) {
      await t.rejects(
        decode(whole.subarray(0, Math.floor(whole.length * share))),
        { name: 'WeirError' },
        `${format} ${share}`,
      )
    }
  }
})

t.test('bombs are refused by what their header declares', async t => {
  const bomb = Buffer.from('89504e470d0a1a0a0000000d494844520000ea600000ea600802000000', 'hex')
  await t.rejects(decode(Buffer.concat([bomb, Buffer.alloc(64)])), { name: 'WeirError' })
  await refuses(t, await plain(RED, 6000, 6000).png().toBuffer(), 'image_too_large', '36 megapixels')
  await refuses(t, await plain(RED, 2, 4000).png().toBuffer(), 'image_undecodable', 'a line')
  await refuses(t, Buffer.alloc(0), 'empty_file', 'nothing')
})

t.test('the content decides what a file is', async t => {
  const sniff = (text: string) => sniffImage(Buffer.from(text, 'latin1'))
  t.match(sniff('<svg xmlns="x"/>'), { kind: 'refused', what: /SVG/ })
  t.match(sniff('<?xml version="1.0"?>\n<!-- x --><svg/>'), { kind: 'refused', what: /SVG/ })
  t.match(sniff('%PDF-1.7'), { kind: 'refused', what: /PDF/ })
  t.match(sniff('\0\0\0\x18ftypheic\0\0\0\0'), { kind: 'refused', what: /HEIC/ })
  t.match(sniff('\0\0\0\x18ftypavif\0\0\0\0'), { kind: 'image', format: 'AVIF' })
  t.match(sniff('\xff\xd8\xff\xe0<svg>'), { kind: 'image', format: 'JPEG' })
  t.match(sniff(''), { kind: 'unknown' })
})
