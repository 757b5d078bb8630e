// A corpus of images made to break decoders. Each must get a prediction or a 4xx; the server must answer as before afterwards.
import { readdir } from 'node:fs/promises'
import { deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { t } from 'tap'
import { writeModelFolder } from './model-folder.ts'
import { noisy, plain, RED } from './photos.ts'
import { ask, postBytes, startServer } from './start-server.ts'

const FORMATS = ['jpeg', 'png', 'webp', 'avif', 'gif', 'tiff'] as const

interface Hostile {
  readonly name: string
  readonly bytes: Uint8Array
}

async function corpus(): Promise<Hostile[]> {
  const whole = await Promise.all(
    FORMATS.map(async format => ({ name: format, bytes: await noisy(96, 72).toFormat(format).toBuffer() })),
  )
  return [
    ...whole.flatMap(truncations),
    ...whole.flatMap(bitFlips),
    ...whole.flatMap(polyglots),
    ...declaredSizes(),
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

t.test('hostile images get a prediction or a 4xx, and nothing else happens', async t => {
  const folder = t.testdir()
  const { url, lost } = await startServer(t, await writeModelFolder(folder))
  const filesBefore = await readdir(folder, { recursive: true })
  const hostile = await corpus()
  t.ok(hostile.length >= 300, `${hostile.length} files`)
  const wrong: string[] = []
  for (const { name, bytes } of hostile) {
    const { status, body } = await postBytes(`${url}/predict`, bytes, 'image/jpeg')
    const fine = status === 200 || (status >= 400 && status < 500 && typeof body.error?.code === 'string')
    if (!fine || /\/|node_modules|vips/i.test(body.error?.message ?? ''))
      wrong.push(`${name}: ${status} ${JSON.stringify(body)}`)
  }
  t.strictSame(wrong, [])
  t.strictSame(lost, [])
  t.strictSame(await readdir(folder, { recursive: true }), filesBefore)
  const after = await postBytes(`${url}/predict`, await plain(RED).jpeg().toBuffer(), 'image/jpeg')
  t.equal(after.body.label, 'Red')
  t.equal((await ask(`${url}/readyz`)).status, 200)
})
