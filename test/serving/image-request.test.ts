import { t } from 'tap'
import { imageOfRequest } from '../../serving/image-request.ts'

const TYPE = 'multipart/form-data; boundary=b'
const form = (...lines: string[]) => Buffer.from(lines.join('\r\n'), 'latin1')
const file = (content: string, name = 'file') => [
  '--b',
  `Content-Disposition: form-data; name="${name}"; filename="a.jpg"`,
  'Content-Type: image/jpeg',
  '',
  content,
]

t.test('the field "file" is taken byte for byte, whatever stands beside it', async t => {
  const content = '\r\n--c\0\xff--\r\n'
  const body = form(...file('x', 'note'), ...file(content), '--b--', '')
  t.equal(Buffer.from(await imageOfRequest(TYPE, body)).toString('latin1'), content)
})

const refused: Readonly<Record<string, readonly [Uint8Array, string, string]>> = {
  'no boundary in the type': [form(...file('x'), '--b--'), 'multipart/form-data', 'invalid_multipart'],
  'another boundary in the body': [form('--c', 'x', '--c--'), TYPE, 'invalid_multipart'],
  'an empty body': [Buffer.alloc(0), TYPE, 'invalid_multipart'],
  'a form cut short': [form(...file('abc')), TYPE, 'invalid_multipart'],
  'a part without name': [
    form('--b', 'content-disposition: form-data', '', 'x', '--b--', ''),
    TYPE,
    'invalid_multipart',
  ],
  'another field': [form(...file('x', 'picture'), '--b--', ''), TYPE, 'missing_file'],
  'a field that is no file': [
    form('--b', 'content-disposition: form-data; name="file"', '', 'x', '--b--', ''),
    TYPE,
    'missing_file',
  ],
  'a form of 65 parts': [
    form(...Array.from({ length: 65 }, (_, index) => file('x', `part${index}`)).flat(), '--b--', ''),
    TYPE,
    'invalid_multipart',
  ],
  'a part with headers without end': [
    form(...file('x').slice(0, 2), `x-note: ${'x'.repeat(20_000)}`, '', 'x', '--b--', ''),
    TYPE,
    'invalid_multipart',
  ],
  'an empty file': [form(...file(''), '--b--', ''), TYPE, 'empty_file'],
}
for (const [name, [body, type, code]] of Object.entries(refused)) {
  t.test(`${name} is ${code}`, async t => {
    await t.rejects(imageOfRequest(type, body), { code, statusCode: 400 })
  })
}
