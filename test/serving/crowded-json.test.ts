// Of 16 MiB of JSON eight million times `0,` became 300 MB, and a million members of an object 100: a few such requests took the
// process over the memory limit of its version, and it ended.
import { t } from 'tap'
import { decodeBase64 } from '../../serving/base64.ts'
import { parseJsonBody } from '../../serving/json-body.ts'

const listOf = (count: number, value = '0') => Buffer.from(`[${`${value},`.repeat(count - 1)}${value}]`)

t.test('a million values are read, and not one more', async t => {
  t.equal((parseJsonBody(listOf(1_000_000)) as unknown[]).length, 1_000_000)
  t.throws(() => parseJsonBody(listOf(1_000_001)), {
    code: 'body_too_large',
    statusCode: 413,
    message: /binary extension/,
  })
})

t.test('so are 100,000 arrays, objects and members', async t => {
  const refused = { code: 'invalid_json', statusCode: 400 }
  t.equal((parseJsonBody(listOf(99_999, '[]')) as unknown[]).length, 99_999) // and the one around them
  t.throws(() => parseJsonBody(listOf(100_000, '[]')), refused)
  const members = Array.from({ length: 100_000 }, (_, index) => `"${index}":0`)
  t.throws(() => parseJsonBody(Buffer.from(`{${members.join()}}`)), refused)
})

t.test('base64 may come in lines, padded or not, and as a data: URL', async t => {
  for (const text of ['aGk=', 'aGk', 'aG\r\nk=\n', '  aGk = ', 'data:image/png;base64,aGk=']) {
    t.equal(Buffer.from(decodeBase64(text, 'image')).toString(), 'hi', text)
  }
  for (const text of ['a', 'a G k i a', 'aGk===', 'a=Gk', 'aGk!', 'data:aGk=']) {
    t.throws(() => decodeBase64(text, 'image'), { code: 'bad_request', message: 'image is not base64' }, text)
  }
})
