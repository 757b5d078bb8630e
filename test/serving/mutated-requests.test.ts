// Requests that are nearly right, mutated by a generator with a fixed seed. None may crash the server, get a 5xx or an answer
// without a stable code.
import { t } from 'tap'
import { writeModelFolder } from './model-folder.ts'
import { plain, RED } from './photos.ts'
import { ask, postBytes, startServer } from './start-server.ts'

const REQUESTS = 1500

function generator(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function mutate(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const mutated = Buffer.from(bytes)
  for (let change = 0; change <= random(6); change++) {
    const at = random(mutated.length)
    if (random(3) === 0) mutated.copyWithin(at, random(mutated.length))
    else mutated[at] = random(256)
  }
  return random(4) === 0 ? mutated.subarray(0, random(mutated.length)) : mutated
}

t.test('mutated requests get a 200 or a 4xx', async t => {
  const { url, lost } = await startServer(t, await writeModelFolder(t.testdir()))
  const photo = await plain(RED, 64, 48).jpeg().toBuffer()
  const base64 = photo.toString('base64')
  const json = (value: unknown) => Buffer.from(JSON.stringify(value))
  const form = Buffer.concat([
    Buffer.from('--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'),
    photo,
    Buffer.from('\r\n--b--\r\n'),
  ])
  const encoded = { name: 'input', shape: [1], datatype: 'BYTES', data: [base64] }
  const seeds: readonly (readonly [path: string, type: string, body: Uint8Array])[] = [
    ['/predict', 'image/jpeg', photo],
    ['/predict', 'multipart/form-data; boundary=b', form],
    ['/predict', 'application/json', json({ image: base64 })],
    [
      '/v2/models/colours/infer',
      'application/json',
      json({ id: '1', inputs: [encoded], outputs: [{ name: 'logits' }] }),
    ],
    ['/v1/models/colours:predict', 'application/json', json({ instances: [{ b64: base64 }] })],
  ]
  const random = generator(7)
  const wrong: string[] = []
  for (let n = 0; n < REQUESTS; n++) {
    const [path, type, body] = seeds[n % seeds.length] ?? seeds[0] ?? ['', '', new Uint8Array()]
    const answer = await postBytes(`${url}${path}`, mutate(body, random), type)
    const said = typeof (answer.body.error?.code ?? answer.body.error) === 'string'
    if (answer.status !== 200 && !(answer.status >= 400 && answer.status < 500 && said))
      wrong.push(`${path} ${answer.status}`)
  }
  t.strictSame(wrong, [])
  t.strictSame(lost, [])
  t.equal((await ask(`${url}/readyz`)).status, 200)
})
