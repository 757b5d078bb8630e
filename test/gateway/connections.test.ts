import { request as httpRequest } from 'node:http'
import { test } from 'tap'
import { eventually, startWorker, twoVariants } from './harness.ts'
import { rawUpstream } from './raw-upstream.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

const stableOnly = (url: string, settings: object = {}) =>
  twoVariants(url, url, { weights: { stable: 100, candidate: 0 }, ...settings })

test('one connection serves request after request', async t => {
  const { url, sockets } = await rawUpstream(t, socket => socket.write(OK))
  const worker = await startWorker(t, [stableOnly(url)])
  for (let n = 0; n < 5; n++) t.equal((await worker.send()).text, 'ok')
  t.equal(sockets.length, 1)
})

test('a request reads as HTTP/1.1 should: our Host and length, nothing said twice', async t => {
  const seen: string[] = []
  const { url } = await rawUpstream(t, (socket, text) => {
    seen.push(text)
    socket.write(OK)
  })
  const worker = await startWorker(t, [stableOnly(url)])
  await worker.send({ method: 'POST', body: 'abc', headers: { 'transfer-encoding': 'chunked' } })
  await worker.send({ method: 'POST', headers: { 'content-length': '0' } })
  await worker.send()
  const [post = '', empty = '', get = ''] = seen
  t.match(post, /^POST \/x HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\nconnection: keep-alive\r\n/)
  t.match(post, /\r\ncontent-length: 3\r\n\r\nabc$/)
  t.notMatch(post, /transfer-encoding/i)
  t.match(empty, /\r\ncontent-length: 0\r\n\r\n$/)
  t.notMatch(get, /content-length|transfer-encoding/i)
})

test('bytes nobody asked for close an idle connection and are nobody’s answer', async t => {
  const { url, sockets } = await rawUpstream(t, socket => socket.write(OK))
  const worker = await startWorker(t, [stableOnly(url)])
  await worker.send()
  sockets[0]?.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison')
  t.ok(await eventually(() => sockets[0]?.destroyed === true))
  t.equal((await worker.send()).text, 'ok')
  t.equal(sockets.length, 2)
})

test('an answer with more than an answer is delivered, and its connection not used again', async t => {
  const { url, sockets } = await rawUpstream(t, socket => socket.write(`${OK}HTTP/1.1 200 OK\r\n\r\npoison`))
  const worker = await startWorker(t, [stableOnly(url)])
  for (let n = 0; n < 3; n++) t.equal((await worker.send()).text, 'ok')
  t.equal(sockets.length, 3)
})

test('a server that says it will close soon is not asked again on that connection', async t => {
  const soon = 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok'
  const { url, sockets } = await rawUpstream(t, socket => socket.write(soon))
  const worker = await startWorker(t, [stableOnly(url)])
  for (let n = 0; n < 3; n++) await worker.send()
  t.equal(sockets.length, 3)
})

test('when a server closes every kept connection at once, retries are made on fresh ones', async t => {
  const { url, sockets } = await rawUpstream(t, socket => socket.write(OK))
  const worker = await startWorker(t, [stableOnly(url)])
  await Promise.all(Array.from({ length: 5 }, () => worker.send()))
  for (const socket of sockets) socket.removeAllListeners('data').on('data', () => socket.destroy())
  const again = Array.from({ length: 5 }, () => worker.send({ method: 'POST', body: 'a' }))
  t.same(
    (await Promise.all(again)).map(({ text }) => text),
    ['ok', 'ok', 'ok', 'ok', 'ok'],
  )
  t.equal(await worker.total('weir_requests_total', { outcome: 'failure' }), 0)
})

test('an upload that the endpoint stops reading ends with the time limit of the attempt', async t => {
  const { url } = await rawUpstream(t, socket => socket.pause())
  const policy = stableOnly(url, { replayMaxBytes: '1MiB', timeoutMs: 300, fallback: undefined })
  const worker = await startWorker(t, [policy])
  const startedAt = performance.now()
  const answer = await new Promise<{ status: number }>(resolve => {
    const client = httpRequest(
      { port: worker.port, method: 'POST', path: '/x', headers: { 'content-length': 30_000_000 } },
      response => {
        resolve({ status: response.statusCode ?? 0 })
        client.destroy()
      },
    )
    client.on('error', () => resolve({ status: 0 }))
    client.write(Buffer.alloc(29_000_000)) // and never the rest: the client waits for the server to go on reading
  })
  t.match(answer, { status: 504 })
  t.ok(performance.now() - startedAt < 20_000)
  t.equal(await worker.total('weir_requests_total', { outcome: 'failure', reason: 'timeout' }), 1)
})

test('an endpoint that reads slowly is not taken for one that stopped', async t => {
  let read = 0
  const { url } = await rawUpstream(t, (socket, text) => {
    read += text.length
    socket.pause()
    setTimeout(() => socket.resume(), 12) // all together takes longer than one attempt may
    if (text.endsWith('end')) socket.write(OK)
  })
  const worker = await startWorker(t, [stableOnly(url, { replayMaxBytes: '256KiB', timeoutMs: 3000 })])
  const body = Buffer.alloc(24_000_000, 'x')
  body.write('end', body.length - 3)
  t.match(await worker.send({ method: 'POST', body }), { status: 200, text: 'ok' })
  t.ok(read > body.length)
})
