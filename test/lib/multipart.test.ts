import t from 'tap'
import { readParts } from '../../lib/multipart.ts'

const TYPE = 'multipart/form-data; boundary=XX'

/** In chunks of this many bytes. */
async function* chunks(text: string | Buffer, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function read(body: AsyncIterable<Uint8Array>, contentType = TYPE): Promise<[string, string][]> {
  const found: [string, string][] = []
  for await (const { name, content } of readParts(body, contentType)) {
    const pieces: Uint8Array[] = []
    for await (const piece of content) pieces.push(Buffer.from(piece))
    found.push([name, Buffer.concat(pieces).toString('latin1')])
  }
  return found
}

const part = (name: string, content: string) =>
  `--XX\r\nContent-Disposition: form-data; name="${name}"; filename="x"\r\nContent-Type: text/plain\r\n\r\n${content}\r\n`

t.test('a form comes out the same however it is cut into chunks', async t => {
  const tricky = '\r\n--X\r\n--XY\r\r\n-\r\n--'
  const form = `preamble\r\n${part('a', 'one')}${part('b/c.py', tricky)}${part('empty', '')}--XX--\r\nepilogue`
  for (let size = 1; size < form.length; size++) {
    t.same(await read(chunks(form, size)), [
      ['a', 'one'],
      ['b/c.py', tricky],
      ['empty', ''],
    ])
  }
})

t.test('what FormData sends is read, also megabytes of any bytes', async t => {
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) % 256))
  const form = new FormData()
  form.append('model.json', '{}')
  form.append('model.onnx', new Blob([bytes]))
  const request = new Request('http://localhost', { method: 'POST', body: form })
  const contentType = request.headers.get('content-type') ?? ''
  const found = await read(chunks(Buffer.from(await request.arrayBuffer()), 65_536), contentType)
  t.same(found, [
    ['model.json', '{}'],
    ['model.onnx', bytes.toString('latin1')],
  ])
})

t.test('a part that is not read is passed over', async t => {
  const names: string[] = []
  const form = `${part('a', 'x'.repeat(5000))}${part('b', 'y')}--XX--`
  for await (const { name } of readParts(chunks(form, 100), TYPE)) names.push(name)
  t.same(names, ['a', 'b'])
})

t.test('what is no form, or is cut short, is refused', async t => {
  const refusals: Record<string, [message: RegExp, body: string, contentType?: string]> = {
    'no boundary': [/boundary/, part('a', 'x'), 'multipart/form-data'],
    'an endless boundary': [/boundary/, part('a', 'x'), `multipart/form-data; boundary=${'x'.repeat(71)}`],
    'another type': [/boundary/, part('a', 'x'), 'application/json'],
    nothing: [/cut short/, ''],
    'no end': [/cut short/, part('a', 'x')],
    'an end in the headers': [/cut short/, '--XX\r\nContent-Disposition: form'],
    'no name': [/no name/, '--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XX--'],
    'no disposition': [/no name/, '--XX\r\nContent-Type: text/plain\r\n\r\nx\r\n--XX--'],
    'text after the boundary': [/something else/, '--XXL\r\n\r\nx\r\n--XX--'],
    'endless headers': [/too long/, `--XX\r\nA: ${'x'.repeat(100_000)}`],
  }
  for (const [name, [message, body, contentType]] of Object.entries(refusals))
    await t.rejects(read(chunks(body, 1000), contentType), { message }, name)
})
