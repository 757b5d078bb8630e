import { deflateSync, gzipSync } from 'node:zlib'
import sharp from 'sharp'
import { noisy, plain, RED } from './photos.ts'

const FORMATS = ['jpeg', 'png', 'webp', 'avif', 'gif', 'tiff'] as const

export interface Hostile {
  readonly name: string
  readonly bytes: Uint8Array
  /** What it claims to be; image/jpeg when absent. */
  readonly headers?: Readonly<Record<string, string>>
}

/** Images made to break decoders, and files that are none. */
export async function hostileFiles(): Promise<Hostile[]> {
  const whole = await Promise.all(
    FORMATS.map(async format => ({ name: format, bytes: await noisy(96, 72).toFormat(format).toBuffer() })),
  )
  return [
    ...whole.flatMap(truncations),
    ...whole.flatMap(bitFlips),
    ...whole.flatMap(polyglots),
    ...declaredSizes(),
    ...(await Promise.all(FORMATS.map(patchedSize))),
    ...whole.flatMap(wrongNames),
    ...compressionBombs(),
    ...(await oddPictures()),
    ...documents(),
  ]
}

function truncations({ name, bytes }: Hostile): Hostile[] {
  return Array.from({ length: 20 }, (_, step) => ({
    name: `${name} cut at ${step * 5} %`,
    bytes: bytes.subarray(0, Math.floor((bytes.length * step) / 20)),
  }))
}

function bitFlips({ name, bytes }: Hostile): Hostile[] {
  return Array.from({ length: 25 }, (_, turn) => {
    const flipped = Uint8Array.from(bytes)
    for (let flip = 0; flip < 8; flip++) {
      // among the first bytes, where the structure is, as often as among all
      const range = flip % 2 === 0 ? Math.min(200, flipped.length) : flipped.length
      const at = (turn * 7919 + flip * 104_729) % range
      flipped[at] = (flipped[at] ?? 0) ^ (1 << flip)
    }
    return { name: `${name} with flipped bits ${turn}`, bytes: flipped }
  })
}

function polyglots({ name, bytes }: Hostile): Hostile[] {
  const script = Buffer.from('<script>alert(1)</script>')
  return [
    { name: `${name} and a script`, bytes: Buffer.concat([bytes, script]) },
    { name: `a script and ${name}`, bytes: Buffer.concat([script, bytes]) },
    {
      name: `${name} and a ZIP archive`,
      bytes: Buffer.concat([bytes, Buffer.from('PK\x05\x06'), Buffer.alloc(18)]),
    },
    { name: `${name} twice`, bytes: Buffer.concat([bytes, bytes]) },
  ]
}

/** Where each format keeps its width and height, made 30,000 (or as many as it can say) by 30,000. */
async function patchedSize(format: (typeof FORMATS)[number]): Promise<Hostile> {
  const [width, height] = [97, 71] // as bytes these stand nowhere else together
  const bytes = Buffer.from(await noisy(width, height).toFormat(format).toBuffer())
  const huge = { be32: Buffer.from('0000753000007530', 'hex'), be16: Buffer.from('75307530', 'hex') }
  const patches: readonly (readonly [from: string, to: Buffer])[] = [
    ['0000006100000047', huge.be32], // PNG, AVIF
    ['00470061', huge.be16], // JPEG: height first
    ['61004700', Buffer.from('30753075', 'hex')], // GIF, WebP, and the JPEG within the TIFF by the line above
  ]
  for (const [from, to] of patches) {
    const said = Buffer.from(from, 'hex')
    for (let at = bytes.indexOf(said); at >= 0; at = bytes.indexOf(said, at + 1)) to.copy(bytes, at)
  }
  return { name: `${format} whose header says 30,000 by 30,000`, bytes }
}

/** A form whose file name and type say something else than its content. */
function wrongNames({ name, bytes }: Hostile): Hostile[] {
  return ['photo.svg', 'photo.exe', '../../etc/passwd', 'photo.jpg\0.php', 'x'.repeat(5000)].map(
    fileName => ({
      name: `${name} called ${fileName.slice(0, 20)}`,
      headers: { 'content-type': 'multipart/form-data; boundary=b' },
      bytes: Buffer.concat([
        Buffer.from(
          `--b\r\nContent-Disposition: form-data; name="file"; filename="${fileName}"\r\nContent-Type: image/svg+xml\r\n\r\n`,
        ),
        bytes,
        Buffer.from('\r\n--b--\r\n'),
      ]),
    }),
  )
}

/** A hundred megabytes in a hundred kilobytes. */
function compressionBombs(): Hostile[] {
  const zeros = Buffer.alloc(100_000_000)
  const deflated = deflateSync(zeros)
  const zipped = gzipSync(zeros)
  const named = (keyword: string) => Buffer.concat([Buffer.from(`${keyword}\0\0`, 'latin1'), deflated])
  const withChunk = (type: string, data: Uint8Array) => {
    const plainPng = png(8, 8, deflateSync(Buffer.alloc(8 * 25)))
    return Buffer.concat([plainPng.subarray(0, 33), chunk(type, data), plainPng.subarray(33)])
  }
  return [
    { name: 'a PNG whose text unpacks to 100 MB', bytes: withChunk('zTXt', named('Comment')) },
    { name: 'a PNG whose colour profile unpacks to 100 MB', bytes: withChunk('iCCP', named('icc')) },
    { name: 'a PNG with more pixels than it says', bytes: png(8, 8, deflated) },
    { name: 'a gzip file', bytes: zipped },
    {
      name: 'a body said to be gzipped',
      bytes: zipped,
      headers: { 'content-encoding': 'gzip', 'content-type': 'image/jpeg' },
    },
    {
      name: 'a ZIP archive',
      bytes: Buffer.concat([Buffer.from('PK\x03\x04\x14\0\0\0\x08\0', 'latin1'), deflated]),
    },
  ]
}

/** Headers that promise much more than follows. */
function declaredSizes(): Hostile[] {
  const sizes = [0, 1, 30_000, 65_535, 0x7fffffff, 0xffffffff]
  return sizes.flatMap(width =>
    sizes.map(height => ({
      name: `PNG of ${width} by ${height}`,
      bytes: png(width, height, deflateSync(Buffer.alloc(1000))),
    })),
  )
}

function png(width: number, height: number, data: Uint8Array): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 2, 0, 0, 0], 8)
  const signature = Buffer.from('89504e470d0a1a0a', 'hex')
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', data),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(type: string, data: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return (crc ^ 0xffffffff) >>> 0
}

async function oddPictures(): Promise<Hostile[]> {
  const frames = await Promise.all([1, 2, 3].map(seed => noisy(40, 40, seed).png().toBuffer()))
  const pictures = {
    'one pixel': plain(RED, 1, 1).png(),
    'one pixel wide': plain(RED, 1, 30_000).png(),
    'half a gigabyte unpacked': plain(RED, 13_000, 13_000).png({ compressionLevel: 9 }),
    progressive: noisy(96, 72).jpeg({ progressive: true }),
    CMYK: noisy(96, 72).toColourspace('cmyk').jpeg(),
    '16 bits': noisy(96, 72).toColourspace('rgb16').png(),
    'another colour profile': noisy(96, 72).withIccProfile('p3').jpeg(),
    'one bit a pixel': noisy(96, 72).threshold().png({ palette: true, colours: 2 }),
    transparent: sharp({
      create: { width: 90, height: 60, channels: 4, background: { r: 9, g: 9, b: 9, alpha: 0 } },
    }).png(),
    'grey with alpha': noisy(96, 72).greyscale().ensureAlpha(0.5).webp(),
    'an animated GIF': sharp(frames, { join: { animated: true } }).gif(),
    'an animated WebP': sharp(frames, { join: { animated: true } }).webp(),
    'a TIFF of several pages': sharp(frames, { join: { animated: true } }).tiff(),
  }
  return Promise.all(
    Object.entries(pictures).map(async ([name, image]) => ({ name, bytes: await image.toBuffer() })),
  )
}

function documents(): Hostile[] {
  const texts = {
    'an SVG with an outside reference':
      '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    'an SVG that fetches':
      '<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1:1/"/></svg>',
    'an SVG in UTF-16': '\xff\xfe<\0s\0v\0g\0',
    'an SVG behind a comment':
      '<!-- x --><svg xmlns="http://www.w3.org/2000/svg"><use href="http://127.0.0.1:1/#a"/></svg>',
    'an SVG with an outside style sheet':
      '<?xml-stylesheet href="http://127.0.0.1:1/a.css"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    'an XML bomb': '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>',
    'a PDF': '%PDF-1.7\n1 0 obj\n<<>>\nendobj',
    'an ImageMagick script':
      'push graphic-context\nviewbox 0 0 640 480\nfill \'url(https://127.0.0.1/x.jpg"|ls")\'',
    'a PostScript file': '%!PS\n(/etc/passwd) run',
    'a list of files': 'file:///etc/passwd',
    'a NetPBM image': 'P6\n1 1\n255\n\0\0\0',
    'a vips image': '\x08\xf2\xa6\xb6'.padEnd(200, '\0'),
    'a CSV': '1,2,3\n4,5,6\n',
    'an HDR image': '#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n\0\0\0\0',
  }
  return Object.entries(texts).map(([name, text]) => ({ name, bytes: Buffer.from(text, 'latin1') }))
}
