import type { Socket } from 'node:net'
import { test } from 'tap'
import { startWorker, twoVariants } from './harness.ts'
import { rawUpstream } from './raw-upstream.ts'

// What a model server can do wrong, on a route that has nobody else to ask: what the client hears, and how it is counted.

const POST = { method: 'POST', body: 'photo' }
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const HALF = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'
const CHUNK = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'

const stableOnly = (url: string, settings: object = {}) =>
  twoVariants(url, url, { weights: { stable: 100, candidate: 0 }, fallback: undefined, ...settings })

interface Fault {
  readonly act: (socket: Socket) => void
  readonly reason: string
  /** 0: an answer that had begun is cut short, so that the client cannot take it for whole. */
  readonly status: number
  readonly text: RegExp
}

const BAD_GATEWAY = { status: 502, text: /"code":"bad_gateway"/ }
const TOO_LATE = { status: 504, text: /"code":"gateway_timeout"/ }
const CUT_SHORT = { status: 0, text: /cut short|hang up|ECONNRESET/ }

/** The beginning reaches the client first, as far as the machine is fast enough. */
const after = (socket: Socket, bytes: string, act: () => void) =>
  void socket.write(bytes, () => setTimeout(act, 50))

const FAULTS: Record<string, Fault> = {
  'hangs before its head': { act: () => undefined, reason: 'timeout', ...TOO_LATE },
  'hangs in mid-head': {
    act: socket => socket.write('HTTP/1.1 200 OK\r\nX-A'),
    reason: 'timeout',
    ...TOO_LATE,
  },
  'hangs in mid-body': { act: socket => socket.write(HALF), reason: 'timeout', ...CUT_SHORT },
  'resets the connection': { act: socket => socket.resetAndDestroy(), reason: 'reset', ...BAD_GATEWAY },
  'closes without an answer': { act: socket => socket.end(), reason: 'reset', ...BAD_GATEWAY },
  'closes after an informational answer': {
    act: socket => socket.end('HTTP/1.1 100 Continue\r\n\r\n'),
    reason: 'reset',
    ...BAD_GATEWAY,
  },
  'closes in mid-head': {
    act: socket => socket.end('HTTP/1.1 200 OK\r\nX-A'),
    reason: 'reset',
    ...BAD_GATEWAY,
  },
  'closes in mid-body': {
    act: socket => after(socket, HALF, () => socket.end()),
    reason: 'reset',
    ...CUT_SHORT,
  },
  'closes in mid-chunk': {
    act: socket => after(socket, CHUNK, () => socket.end('5\r\nx')),
    reason: 'reset',
    ...CUT_SHORT,
  },
  'resets in mid-body': {
    act: socket => after(socket, HALF, () => socket.resetAndDestroy()),
    reason: 'reset',
    ...CUT_SHORT,
  },
  'sends garbage': { act: socket => socket.end('no HTTP at all\r\n\r\n'), reason: 'invalid', ...BAD_GATEWAY },
  'sends garbage in mid-body': {
    act: socket => after(socket, CHUNK, () => socket.write('no size\r\n')),
    reason: 'invalid',
    ...CUT_SHORT,
  },
  'sends an oversized header': {
    act: socket => socket.write(`HTTP/1.1 200 OK\r\nX-Big: ${'y'.repeat(100_000)}\r\n\r\n`),
    reason: 'invalid',
    ...BAD_GATEWAY,
  },
  'says two lengths': {
    act: socket => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc'),
    reason: 'invalid',
    ...BAD_GATEWAY,
  },
}

for (const [name, { act, reason, status, text }] of Object.entries(FAULTS)) {
  test(`an upstream that ${name}: the client hears of it, it is counted once, and nothing is sent twice`, async t => {
    let asked = 0
    let broken = true
    const { url } = await rawUpstream(t, socket => {
      asked++
      if (broken) act(socket)
      else socket.write(OK)
    })
    const timing = reason === 'timeout' ? { timeoutMs: 300 } : {}
    const worker = await startWorker(t, [stableOnly(url, timing)])
    t.match(await worker.send(POST), { status, text })
    const failures = await worker.samples('weir_requests_total')
    t.match(failures, [{ labels: { variant: 'stable', outcome: 'failure', reason }, value: 1 }])
    t.equal(failures.length, 1)
    t.equal(asked, 1)
    broken = false
    await worker.set(stableOnly(url))
    t.match(await worker.send(POST), { status: 200, text: 'ok' }, 'what comes next is not harmed')
  })
}

test('an upstream that refuses connections: 502, counted as connect', async t => {
  const worker = await startWorker(t, [stableOnly('http://127.0.0.1:1')])
  t.match(await worker.send(POST), BAD_GATEWAY)
  t.equal(await worker.total('weir_requests_total', { outcome: 'failure', reason: 'connect' }), 1)
})

test('connecting has a time limit of its own: a server that accepts and never greets does not use up the time of the answer', async t => {
  const { url } = await rawUpstream(t, () => undefined) // it says nothing, and TLS wants a word
  const policy = stableOnly(url.replace('http:', 'https:'), { timeoutMs: 60_000, connectTimeoutMs: 200 })
  const worker = await startWorker(t, [policy])
  t.match(await worker.send(POST), BAD_GATEWAY)
  t.equal(await worker.total('weir_requests_total', { outcome: 'failure', reason: 'connect' }), 1)
})

/** Serves `served` requests on each connection and then closes it at the moment of the next, after `beginning`. */
async function closesOnReuse(t: Parameters<typeof rawUpstream>[0], served: number, beginning = '') {
  const seen: string[] = []
  const counts = new Map<Socket, number>()
  const { url, sockets } = await rawUpstream(t, (socket, text) => {
    seen.push(text)
    const count = (counts.get(socket) ?? 0) + 1
    counts.set(socket, count)
    if (count <= served) socket.write(OK)
    else socket.end(beginning)
  })
  return { url, seen, sockets }
}

test('keep-alive reuse race: a POST is sent once more on a fresh connection, and nobody has failed', async t => {
  const { url, seen, sockets } = await closesOnReuse(t, 1)
  const worker = await startWorker(t, [stableOnly(url)])
  for (let n = 0; n < 4; n++) t.match(await worker.send(POST), { status: 200, text: 'ok' })
  t.equal(sockets.length, 4)
  t.equal(seen.length, 4 + 3, 'three of them met a connection that was closing')
  t.equal(await worker.total('weir_requests_total', { outcome: 'failure' }), 0)
  t.same(worker.reports, [])
})

test('keep-alive reuse race: not on a route whose requests must not be replayed', async t => {
  const { url, seen } = await closesOnReuse(t, 1)
  const worker = await startWorker(t, [stableOnly(url, { idempotent: false })])
  t.match(await worker.send(POST), { status: 200 })
  t.match(await worker.send(POST), BAD_GATEWAY)
  t.equal(seen.length, 2)
  t.equal(await worker.total('weir_requests_total', { outcome: 'failure', reason: 'reset' }), 1)
})

test('keep-alive reuse race: not once a byte of the answer came', async t => {
  const { url, seen } = await closesOnReuse(t, 1, 'HTTP/1.1 200')
  const worker = await startWorker(t, [stableOnly(url)])
  t.match(await worker.send(POST), { status: 200 })
  t.match(await worker.send(POST), BAD_GATEWAY)
  t.equal(seen.length, 2)
})

test('keep-alive reuse race: not on a connection that was fresh, and only once', async t => {
  const { url, seen } = await closesOnReuse(t, 0)
  const worker = await startWorker(t, [stableOnly(url)])
  t.match(await worker.send(POST), BAD_GATEWAY)
  t.equal(seen.length, 1)

  let alive = true
  let asked = 0
  const dying = await rawUpstream(t, socket => {
    asked++
    if (alive) socket.write(OK)
    else socket.end()
  })
  const other = await startWorker(t, [stableOnly(dying.url)])
  t.match(await other.send(POST), { status: 200 })
  alive = false
  t.match(await other.send(POST), BAD_GATEWAY)
  t.equal(asked, 3, 'once on the connection that was kept, once on a fresh one')
})
