import type { IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { test } from 'tap'
import { eventually, namedUpstream, send, sendRaw, startWorker, twoVariants, upstream } from './harness.ts'

// What one side of a proxy gets wrong the other side can be attacked with; each case here is one that some proxy got wrong.

const STABLE_ONLY = { weights: { stable: 100, candidate: 0 } }

async function startOne(t: Parameters<typeof startWorker>[0], url: string, settings: object = {}) {
  return startWorker(t, [twoVariants(url, url, { ...STABLE_ONLY, ...settings })])
}

const AMBIGUOUS: Record<string, string> = {
  'Content-Length and Transfer-Encoding':
    'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'two Content-Lengths':
    'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef',
  'two equal Content-Lengths':
    'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na',
  'two Hosts': 'GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  'no Host': 'GET /x HTTP/1.1\r\n\r\n',
  'a folded header': 'GET /x HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n',
  'a bare LF after a header': 'GET /x HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n',
  'a space before the colon': 'GET /x HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n',
  'a bad chunk size': 'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n',
  'two Transfer-Encodings':
    'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'a coding that is not chunked': 'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\nabc',
  'chunked that is not last':
    'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n',
  'chunked as a part of a word':
    'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
  'a list of lengths': 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na',
  'a length with a sign': 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na',
  'a length that is no number': 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na',
  'a bare CR in a header': 'GET /x HTTP/1.1\r\nHost: a\r\nX-A: b\rX-C: d\r\n\r\n',
  'a NUL in a header': 'GET /x HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n',
  'a chunk longer than its size':
    'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n',
  'a bare LF after a chunk size':
    'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n',
  'an expectation nobody knows': 'POST /x HTTP/1.1\r\nHost: a\r\nExpect: bogus\r\nContent-Length: 1\r\n\r\na',
  'a coding under the chunks':
    'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
  'a target that is no path': 'GET x HTTP/1.1\r\nHost: a\r\n\r\n',
  'a header flood': `GET /x HTTP/1.1\r\nHost: a\r\n${'x-a: b\r\n'.repeat(20_000)}\r\n`,
  'no HTTP': '\x16\x03\x01\x02\x00\x01\r\n\r\n',
}

for (const [name, bytes] of Object.entries(AMBIGUOUS)) {
  test(`${name}: refused with 4xx and our error shape, and nothing reaches the upstream`, async t => {
    let asked = 0
    const { url } = await upstream(t, (_, response) => {
      asked++
      response.end()
    })
    const { port } = await startOne(t, url)
    const answer = await sendRaw(port, bytes)
    t.match(answer, /^HTTP\/1\.1 4\d\d /)
    t.match(answer, /"error":\{"code":"[a-z_]+"/)
    t.equal(asked, 0)
  })
}

test('hop-by-hop headers and those that Connection lists do not pass; ours cannot be deleted or forged', async t => {
  let seen: string[] = []
  const { url } = await upstream(t, (request, response) => {
    seen = request.rawHeaders.map(text => text.toLowerCase())
    response
      .writeHead(200, {
        connection: 'x-internal, close',
        'x-internal': '1',
        'x-public': '2',
        'x-weir-variant': 'forged',
      })
      .end()
  })
  const { send } = await startOne(t, url)
  const answer = await send({
    headers: {
      connection: 'x-secret, x-request-id, x-forwarded-for',
      'x-secret': '1',
      'x-kept': '2',
      'keep-alive': 'timeout=5',
      'proxy-connection': 'keep-alive',
      te: 'trailers',
      expect: '100-continue',
      upgrade: 'h2c',
      'x-weir-shadow': '1',
      'x-weir-variant': 'stable',
      'x-request-id': 'abc',
      'x-forwarded-for': '9.9.9.9',
    },
  })
  for (const gone of [
    'x-secret',
    'keep-alive',
    'proxy-connection',
    'te',
    'expect',
    'upgrade',
    'x-weir-shadow',
    'x-weir-variant',
  ])
    t.notOk(seen.filter((_, index) => index % 2 === 0).includes(gone), gone)
  t.equal(seen[seen.indexOf('x-kept') + 1], '2')
  t.equal(seen[seen.indexOf('x-request-id') + 1], 'abc')
  t.equal(seen[seen.indexOf('x-forwarded-for') + 1], '127.0.0.1')
  t.match(seen[seen.indexOf('traceparent') + 1], /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
  t.match(answer.headers, { 'x-public': '2', 'x-weir-variant': 'stable', 'x-request-id': 'abc' })
  t.notOk('x-internal' in answer.headers)
})

test('what only concerns one connection is stripped in both directions, whatever its case', async t => {
  let seen: string[] = []
  const { url } = await upstream(t, (request, response) => {
    seen = request.rawHeaders.filter((_, index) => index % 2 === 0).map(name => name.toLowerCase())
    response
      .writeHead(200, {
        'Keep-Alive': 'timeout=5',
        'Proxy-Connection': 'close',
        TRAILER: 'x-sum',
        upgrade: 'h2c',
      })
      .end('ok')
  })
  const { port } = await startOne(t, url)
  const head =
    'POST /x HTTP/1.1\r\nHost: a\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\nProxy-Authorization: x\r\n'
  const answer = await sendRaw(
    port,
    `${head}CONNECTION: X-Gone\r\nConnection: close\r\nx-gone: 1\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n`,
  )
  t.match(answer, /^HTTP\/1\.1 200 [\s\S]*\r\nok\r\n/)
  for (const name of ['trailer', 'transfer-encoding', 'proxy-authorization', 'x-gone', 'x-sum'])
    t.notOk(seen.includes(name), name)
  t.notMatch(answer, /^(keep-alive|proxy-connection|trailer|upgrade):/im)
})

test("an untrusted client's X-Forwarded-* and Forwarded are overwritten, and a malformed traceparent is replaced", async t => {
  let seen: IncomingHttpHeaders = {}
  const { url } = await upstream(t, (request, response) => {
    seen = request.headers
    response.end()
  })
  const { send } = await startOne(t, url, { trustedProxies: ['10.0.0.0/8'] })
  await send({
    headers: {
      host: 'models.example',
      'x-forwarded-for': '203.0.113.9',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'evil.example',
      forwarded: 'for=203.0.113.9',
      traceparent: '00-00000000000000000000000000000000-00f067aa0ba902b7-01',
    },
  })
  t.match(seen, {
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-proto': 'http',
    'x-forwarded-host': 'models.example',
    traceparent: /^00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-00$/,
  })
  t.notOk('forwarded' in seen)
})

test('a trusted proxy, by address, is believed about the client; traceparent passes', async t => {
  let seen: Record<string, unknown> = {}
  const { url } = await upstream(t, (request, response) => {
    seen = request.headers
    response.end()
  })
  const { send } = await startOne(t, url, { trustedProxies: ['127.0.0.0/8'] })
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  await send({
    headers: {
      'x-forwarded-for': '203.0.113.9',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'weir.example',
      traceparent,
    },
  })
  t.match(seen, {
    'x-forwarded-for': '203.0.113.9, 127.0.0.1',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'weir.example',
    traceparent,
  })
})

test('HEAD, 204 and 304 have no body and do not hang the connection', async t => {
  const { url } = await upstream(t, (request, response) => {
    if (request.url === '/204') response.writeHead(204).end()
    else if (request.url === '/304') response.writeHead(304, { etag: '"1"' }).end()
    else response.writeHead(200, { 'content-length': 5 }).end(request.method === 'HEAD' ? undefined : 'hello')
  })
  const { send } = await startOne(t, url)
  t.match(await send({ method: 'HEAD' }), { status: 200, text: '', headers: { 'content-length': '5' } })
  t.match(await send({ path: '/204' }), { status: 204, text: '' })
  t.match(await send({ path: '/304' }), { status: 304, text: '', headers: { etag: '"1"' } })
  t.match(await send(), { status: 200, text: 'hello' })
})

test('informational answers (1xx) are for the connection they came on', async t => {
  const { url } = await upstream(t, (_, response) => {
    response.writeProcessing()
    response.writeEarlyHints({ link: '</a>; rel=preload' })
    response.end('done')
  })
  const { port } = await startOne(t, url)
  const answer = await sendRaw(port, 'GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  t.match(answer, /^HTTP\/1\.1 200 [\s\S]*done/)
  t.equal(answer.split('HTTP/1.1 ').length - 1, 1)
  t.notMatch(answer, /^link:/im)
})

test('an answer that comes before the request body was read reaches the client', async t => {
  const { url } = await upstream(t, (_, response) => void response.writeHead(413).end('too long for me'))
  const { port } = await startOne(t, url)
  const answer = await send(port, { method: 'POST', body: Buffer.alloc(5_000_000) })
  t.match(answer, { status: 413, text: 'too long for me' })
})

test('an upstream that answers before it has read the request, and closes, is heard', async t => {
  const { url } = await upstream(
    t,
    (_, response) => void response.writeHead(413, { connection: 'close' }).end('too long for me'),
  )
  const worker = await startOne(t, url)
  for (let n = 0; n < 10; n++) {
    const answer = await worker.send({ method: 'POST', body: Buffer.alloc(5_000_000) })
    t.match(answer, { status: 413, text: 'too long for me' })
  }
  t.equal(await worker.total('weir_requests_total', { outcome: 'failure' }), 0)
})

test('an upstream that dies in mid-body cuts the answer short for the client, too', async t => {
  const { url } = await upstream(t, (request, response) => {
    response
      .writeHead(200, { 'content-length': 10 })
      .write('half', () => setTimeout(() => request.socket.destroy(), 20))
  })
  const { send } = await startOne(t, url)
  t.match(await send(), { status: 0, text: /cut short/ })
})

test('a body over the limit is refused with 413 that the client can read, declared or not', async t => {
  const { port } = await startOne(t, await namedUpstream(t, 'stable'), { maxBodyBytes: '1MiB' })
  const body = Buffer.alloc(8_000_000)
  t.match(await send(port, { method: 'POST', body }), { status: 413, text: /body_too_large/ })
  t.match(await send(port, { method: 'POST', body, headers: { 'transfer-encoding': 'chunked' } }), {
    status: 413,
    text: /body_too_large/,
  })
  t.match(await send(port, { method: 'POST', body: 'short' }), { status: 200, text: 'stable' })
})

test('a slow client occupies no upstream until its body is there', async t => {
  let asked = 0
  const { url } = await upstream(t, (request, response) => {
    asked++
    request.resume().on('end', () => response.end('ok'))
  })
  const { port } = await startOne(t, url)
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.write('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345')
  await send(port) // a round trip later the first has surely been seen
  t.equal(asked, 1)
  socket.write('67890')
  t.ok(await eventually(() => asked === 2))
})

test('the gateway owns /livez, /readyz and /feedback; /metrics and /docs are not served to clients', async t => {
  const { send } = await startOne(t, await namedUpstream(t, 'stable'))
  t.match(await send({ path: '/livez' }), { status: 200 })
  t.match(await send({ path: '/readyz' }), { status: 200 })
  for (const path of ['/metrics', '/docs', '/metrics?x=1'])
    t.match(await send({ path }), { status: 404, text: /not_found/ })
  t.match(await send({ path: '/anything' }), { status: 200, text: 'stable' })
})
