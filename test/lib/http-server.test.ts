import { connect } from 'node:net'
import t from 'tap'
import { WeirError } from '../../contract/errors.ts'
import { createHttpServer } from '../../lib/http-server.ts'
import { createLog } from '../../lib/log.ts'

const app = createHttpServer({ log: createLog('test', 'silent'), bodyLimitBytes: 1000 })
app.post('/echo', async request => request.body)
app.get('/busy', async () => {
  throw new WeirError('overloaded', 'try again', { retryAfterSeconds: 1.2 })
})
app.get('/bug', async () => {
  throw new Error('secret /path/of/mine')
})
await app.listen({ port: 0, host: '127.0.0.1' })
t.teardown(() => app.close())
const { port } = app.server.address() as { port: number }
const base = `http://127.0.0.1:${port}`

t.test('every refusal has the error shape, a stable code and the request id', async t => {
  const json = { 'content-type': 'application/json' }
  const cases: [string, RequestInit, number, string][] = [
    ['/nowhere', {}, 404, 'not_found'],
    ['/%zz', {}, 400, 'bad_request'],
    ['/echo', { method: 'POST', body: '{', headers: json }, 400, 'invalid_json'],
    ['/echo', { method: 'POST', body: '', headers: json }, 400, 'invalid_json'],
    [
      '/echo',
      { method: 'POST', body: 'x', headers: { 'content-type': 'text/xml' } },
      415,
      'unsupported_media_type',
    ],
    ['/echo', { method: 'POST', body: `"${'x'.repeat(2000)}"`, headers: json }, 413, 'body_too_large'],
  ]
  for (const [path, init, status, code] of cases) {
    const response = await fetch(base + path, init)
    t.equal(response.status, status, code)
    t.match(await response.json(), {
      error: { code, message: String, request_id: response.headers.get('x-request-id') },
    })
  }
})

t.test('an overload says when to try again, in whole seconds', async t => {
  const response = await fetch(`${base}/busy`)
  t.equal(response.status, 503)
  t.equal(response.headers.get('retry-after'), '2')
})

t.test('a bug answers 500 without telling what it was', async t => {
  const response = await fetch(`${base}/bug`)
  t.equal(response.status, 500)
  const text = await response.text()
  t.match(text, /"code":"internal"/)
  t.notMatch(text, /secret/)
})

t.test('a request id that could not be ours is replaced, a plain one is kept', async t => {
  const kept = await fetch(`${base}/nowhere`, { headers: { 'x-request-id': 'abc-1' } })
  t.equal(kept.headers.get('x-request-id'), 'abc-1')
  const replaced = await fetch(`${base}/nowhere`, { headers: { 'x-request-id': '<script>' } })
  t.match(replaced.headers.get('x-request-id'), /^[0-9a-f-]{36}$/)
})

t.test('what is not HTTP gets a 400 with the error shape, and a header flood 431', async t => {
  t.match(await raw('\x16\x03\x01\x02\r\n\r\n'), /^HTTP\/1\.1 400 [\s\S]*"code":"bad_request"/)
  const flood = `GET / HTTP/1.1\r\nHost: a\r\n${'x-a: b\r\n'.repeat(20_000)}\r\n`
  t.match(await raw(flood), /^HTTP\/1\.1 431 [\s\S]*"code":"headers_too_large"/)
})

function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    let answer = ''
    socket.on('data', chunk => {
      answer += String(chunk)
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', error => (answer === '' ? reject(error) : resolve(answer)))
  })
}
