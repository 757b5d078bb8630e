import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { test, type Test } from 'tap'
import { eventually, namedUpstream, send, sendRaw, startWorker, twoVariants, upstream } from './harness.ts'

// Clients that hold connections open and send or read as little as they can. The limits are minutes of waiting in all, so each
// test shows that the limit is set and then sees a shorter one at work, on the same server.

const POST = 'POST /x HTTP/1.1\r\nHost: a\r\n'

const stableOnly = (url: string, settings: object = {}) =>
  twoVariants(url, url, { weights: { stable: 100, candidate: 0 }, ...settings })

interface Heard {
  readonly server: Server
  readonly socket: Socket
}

/** The requests that HTTP servers of this process hear during a test, as Node tells whoever diagnoses it. */
function listenIn(t: Test): readonly Heard[] {
  const heard: Heard[] = []
  const onRequest = (message: unknown) => void heard.push(message as Heard)
  subscribe('http.server.request.start', onRequest)
  t.teardown(() => unsubscribe('http.server.request.start', onRequest))
  return heard
}

async function serverAt(t: Test, port: number): Promise<Server> {
  const heard = listenIn(t)
  await send(port, { path: '/livez' })
  const server = heard[0]?.server
  if (server === undefined) throw new Error(`nothing was asked on port ${port}`)
  return server
}

/** Sends a beginning, then a drop every few milliseconds for as long as it may; resolves with all that came back. */
function trickle(port: number, beginning: string, drop: string): Promise<string> {
  return new Promise(resolve => {
    let text = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(beginning))
    const timer = setInterval(() => socket.write(drop), 20)
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    socket.on('error', () => undefined) // what came before it counts
    socket.on('close', () => {
      clearInterval(timer)
      resolve(text)
    })
  })
}

test('slowloris: headers that trickle in are cut off with 408', async t => {
  const { port } = await startWorker(t, [stableOnly(await namedUpstream(t, 'stable'))])
  const server = await serverAt(t, port)
  t.equal(server.headersTimeout, 10_000)
  server.headersTimeout = 200
  const answer = await trickle(port, 'GET /x HTTP/1.1\r\nHost: a\r\n', 'x-a: b\r\n')
  t.match(answer, /^HTTP\/1\.1 408 [\s\S]*connection: close[\s\S]*"code":"request_timeout"/)
  t.match(await send(port), { status: 200 }, 'others are served')
})

test('slowloris: a body that trickles in is cut off with 408, and no upstream ever hears of it', async t => {
  let asked = 0
  const { url } = await upstream(t, (_, response) => {
    asked++
    response.end()
  })
  const worker = await startWorker(t, [stableOnly(url)])
  const server = await serverAt(t, worker.port)
  t.equal(server.requestTimeout, 30_000)
  server.requestTimeout = server.headersTimeout = 300 // what is shorter counts
  const answer = await trickle(worker.port, `${POST}Content-Length: 100000\r\n\r\n`, 'x')
  t.match(answer, /^HTTP\/1\.1 408 [\s\S]*"code":"request_timeout"/)
  t.equal(asked, 0)
  t.equal(await worker.total('weir_requests_total', { outcome: 'failure' }), 0)
  const heard = async () => (await worker.total('weir_responses_total', { code: '408' })) === 1
  t.ok(await eventually(heard), 'counted as what the client heard')
})

test('a stalled upload, half of it sent and streaming already, is bounded: it ends at the upstream, and nobody is blamed', async t => {
  let received = 0
  let gone = false
  const { url } = await upstream(t, (request, response) => {
    request.on('data', (chunk: Buffer) => (received += chunk.length))
    response.on('close', () => (gone = true))
  })
  const worker = await startWorker(t, [stableOnly(url)])
  const server = await serverAt(t, worker.port)
  server.requestTimeout = server.headersTimeout = 300 // what is shorter counts
  const half = 1_000_000
  const stalled = sendRaw(worker.port, `${POST}Content-Length: ${2 * half}\r\n\r\n${'x'.repeat(half)}`)
  t.ok(await eventually(() => received === half), 'the upstream has what there is')
  t.match(await stalled, /^HTTP\/1\.1 408 /)
  t.ok(await eventually(() => gone), 'the upstream is let go')
  t.ok(
    await eventually(async () => (await worker.total('weir_requests_total', { outcome: 'dropped' })) === 1),
  )
  t.equal(await worker.total('weir_requests_total', { outcome: 'failure' }), 0)
})

/** A client that asks and then reads nothing. */
async function askWithoutReading(t: Test, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.pause()
  await new Promise<void>(resolve => socket.write('GET /x HTTP/1.1\r\nHost: a\r\n\r\n', () => resolve()))
  return socket
}

/** More than the buffers of all the sockets on the way hold. */
const LONG_ANSWER = Buffer.alloc(64 * 1024 * 1024, 'x')

test('an answer is read no faster than the client reads it', async t => {
  let ended = false
  const { url } = await upstream(t, (_, response) => {
    response.end(LONG_ANSWER, () => (ended = true))
  })
  const worker = await startWorker(t, [stableOnly(url, { timeoutMs: 100 })])
  const socket = await askWithoutReading(t, worker.port)
  await new Promise(resolve => setTimeout(resolve, 300)) // longer than the time limit of an attempt
  t.equal(ended, false, 'the upstream waits')
  let received = 0
  socket.on('data', (chunk: Buffer) => (received += chunk.length)).resume()
  t.ok(await eventually(() => received > LONG_ANSWER.length, 30_000), 'and goes on when the client does')
  t.ok(
    await eventually(async () => (await worker.total('weir_requests_total', { outcome: 'success' })) === 1),
  )
})

test('a client that stops reading is cut off, and the upstream let go', async t => {
  let gone = false
  const { url } = await upstream(t, (_, response) => {
    response.on('close', () => (gone = true))
    response.end(LONG_ANSWER)
  })
  const worker = await startWorker(t, [stableOnly(url)])
  const heard = listenIn(t)
  await askWithoutReading(t, worker.port)
  const socket = () => heard[0]?.socket
  t.ok(await eventually(() => socket()?.timeout === 30_000))
  socket()?.setTimeout(200)
  t.ok(await eventually(() => gone))
  t.ok(
    await eventually(async () => (await worker.total('weir_requests_total', { outcome: 'dropped' })) === 1),
  )
})

test('connections are capped: one too many is closed at once, and there is room again when another goes', async t => {
  const { port } = await startWorker(t, [stableOnly(await namedUpstream(t, 'stable'))])
  const server = await serverAt(t, port)
  t.ok(server.maxConnections > 0 && server.maxConnections <= 10_000)
  const open = async () =>
    new Promise<number>((resolve, reject) =>
      server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    )
  t.ok(await eventually(async () => (await open()) === 0))
  server.maxConnections = 2
  const idle = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
  t.teardown(() => idle.forEach(socket => socket.destroy()))
  t.ok(await eventually(async () => (await open()) === 2))
  t.equal((await send(port)).status, 0)
  idle[0]?.destroy()
  t.ok(await eventually(async () => (await send(port)).status === 200))
})

test('headers over the cap are refused with 431, those below it pass', async t => {
  let longest = 0
  const { url } = await upstream(t, (request, response) => {
    longest = String(request.headers['x-long']).length
    response.end()
  })
  const { port } = await startWorker(t, [stableOnly(url)])
  t.match(await send(port, { headers: { 'x-long': 'y'.repeat(12_000) } }), { status: 200 })
  t.equal(longest, 12_000)
  t.match(await send(port, { headers: { 'x-long': 'y'.repeat(20_000) } }), {
    status: 431,
    text: /"code":"headers_too_large"/,
  })
})
