import { connect } from 'node:net'
import { plain, RED } from './photos.ts'

// HTTP requests that are nearly right: bytes of the body, of the head, or both are changed by a generator with a fixed seed.

export type Random = (below: number) => number

export function randomFrom(seed: number): Random {
  let state = seed
  return below => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

interface Seed {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** Every protocol and form in which the model of colourManifest() takes a photo, and the routes that take none. */
export async function requestSeeds(): Promise<Seed[]> {
  const photo = await plain(RED, 64, 48).jpeg().toBuffer()
  const png = await plain(RED, 64, 48).png().toBuffer()
  const base64 = photo.toString('base64')
  const type = (value: string) => ({ 'content-type': value })
  const json = (path: string, value: unknown): Seed => ({
    path,
    headers: type('application/json'),
    body: Buffer.from(JSON.stringify(value)),
  })
  const encoded = { name: 'input', shape: [1], datatype: 'BYTES' }
  const length = Buffer.alloc(4)
  length.writeUInt32LE(photo.length)
  const binary = { binary_data_size: photo.length + 4 }
  const binaryHead = Buffer.from(JSON.stringify({ inputs: [{ ...encoded, parameters: binary }] }))
  return [
    { path: '/predict', headers: type('image/jpeg'), body: photo },
    { path: '/predict', headers: type('image/png'), body: png },
    { path: '/predict', headers: type('multipart/form-data; boundary=b'), body: form(photo) },
    json('/predict', { image: base64 }),
    json('/v2/models/colours/infer', {
      id: '1',
      inputs: [{ ...encoded, data: [base64] }],
      outputs: [{ name: 'logits', parameters: { classification: 2 } }],
    }),
    {
      path: '/v2/models/colours/infer',
      headers: {
        ...type('application/octet-stream'),
        'inference-header-content-length': String(binaryHead.length),
      },
      body: Buffer.concat([binaryHead, length, photo]),
    },
    json('/v1/models/colours:predict', { instances: [{ b64: base64 }] }),
    json('/v1/models/colours/versions/1:predict', { inputs: { input: [{ b64: base64 }] } }),
    { path: '/v2/models/colours/versions/1', headers: {}, body: Buffer.alloc(0) },
  ]
}

function form(photo: Buffer): Buffer {
  const head = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
  return Buffer.concat([Buffer.from(head), photo, Buffer.from('\r\n--b--\r\n')])
}

export interface MutatedRequest {
  readonly bytes: Buffer
  /** Its Content-Length and that the connection closes cannot be relied on then. */
  readonly headToo: boolean
}

export function mutatedRequest(seeds: readonly Seed[], random: Random): MutatedRequest {
  const { path, headers, body } = seeds[random(seeds.length)] as Seed
  const [headToo, bodyToo] = random(4) === 0 ? [true, random(2) === 0] : [false, true]
  const sent = bodyToo ? mutate(body, random) : body
  const lines = Object.entries({ host: 'a', ...headers, 'content-length': sent.length }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  const method = body.length === 0 ? 'GET' : 'POST'
  const head = Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}connection: close\r\n\r\n`)
  return { bytes: Buffer.concat([headToo ? mutate(head, random) : head, sent]), headToo }
}

function mutate(bytes: Buffer, random: Random): Buffer {
  if (bytes.length === 0) return bytes
  const mutated = Buffer.from(bytes)
  for (let change = 0; change <= random(6); change++) {
    const at = random(mutated.length)
    if (random(3) === 0) mutated.copyWithin(at, random(mutated.length))
    else mutated[at] = random(256)
  }
  return random(4) === 0 ? mutated.subarray(0, random(mutated.length)) : mutated
}

/** A server waits long for what a wrong Content-Length promises. */
const GIVE_UP_AFTER_MS = 40

/** Everything that the server says on a connection on which the request is sent. */
export function exchange(url: string, { bytes, headToo }: MutatedRequest): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let giveUp: NodeJS.Timeout | undefined
    const socket = connect({ host: hostname, port: Number(port) }, () => {
      socket.write(bytes)
      if (headToo) giveUp = setTimeout(() => socket.end(), GIVE_UP_AFTER_MS)
    })
    socket.on('data', chunk => chunks.push(chunk))
    socket.on('close', () => {
      clearTimeout(giveUp)
      resolve(Buffer.concat(chunks).toString('latin1'))
    })
    socket.on('error', error => {
      // it may refuse the head and close while the rest is still being sent
      if ('code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE')) return
      reject(error)
    })
    socket.setTimeout(60_000, () => reject(new Error('no end of the answer within a minute')))
  })
}
