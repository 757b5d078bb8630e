import { t } from 'tap'
import { parseMultipart } from '../../serving/multipart.ts'

const TYPE = 'multipart/form-data; boundary=b'
const form = (...parts: string[]) => Buffer.from(parts.join('\r\n'), 'latin1')
const part = (name: string, content: string) => [
  '--b',
  `Content-Disposition: form-data; name="${name}"`,
  '',
  content,
]
const parse = (body: Uint8Array, type = TYPE) =>
  parseMultipart(body, type).map(({ name, content }) => [name, Buffer.from(content).toString('latin1')])

t.test('parts come in their order, their content byte for byte', async t => {
  const content = '\r\n--c\0\xff--\r\n'
  t.strictSame(parse(form(...part('note', ''), ...part('file', content), '--b--', '')), [
    ['note', ''],
    ['file', content],
  ])
})

t.test('the boundary may be quoted, and a preamble is skipped', async t => {
  t.strictSame(
    parse(form('preamble', ...part('file', 'x'), '--b--'), 'multipart/form-data; charset=x; boundary="b"'),
    [['file', 'x']],
  )
})

t.test('filename is not name', async t => {
  const header = 'content-disposition: form-data; filename="name"; name="file"'
  t.strictSame(parse(form('--b', header, '', 'x', '--b--')), [['file', 'x']])
})

const invalid: Readonly<Record<string, readonly [Uint8Array, string]>> = {
  'no boundary in the type': [form('x'), 'multipart/form-data'],
  'a boundary that is too long': [form('x'), `multipart/form-data; boundary=${'b'.repeat(71)}`],
  'no boundary in the body': [form('x'), TYPE],
  'an empty body': [Buffer.alloc(0), TYPE],
  'a form cut short': [form(...part('file', 'abc')), TYPE],
  'a part without header': [form('--b', 'x', '--b--'), TYPE],
  'a part without name': [form('--b', 'content-disposition: form-data', '', 'x', '--b--'), TYPE],
  'too many parts': [form(...Array.from({ length: 65 }, () => part('x', '')).flat(), '--b--'), TYPE],
  'a header without end': [form('--b', `x: ${'y'.repeat(9000)}`, '', 'x', '--b--'), TYPE],
}
for (const [name, [body, type]] of Object.entries(invalid)) {
  t.test(`${name} is invalid_multipart`, async t => {
    t.throws(() => parseMultipart(body, type), { code: 'invalid_multipart', statusCode: 400 })
  })
}
