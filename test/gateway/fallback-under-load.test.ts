import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { test, type Test } from 'tap'
import { eventually, PREDICTION, startWorker, twoVariants, upstream } from './harness.ts'
import { rawUpstream } from './raw-upstream.ts'

const POST = { method: 'POST', path: '/predict', body: Buffer.alloc(20_000, 'photo') }
const BODY = JSON.stringify(PREDICTION)
const OK = `HTTP/1.1 200 OK\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`

/** What a candidate may do to a request; all but the first and the last of these are failures. */
const CONDUCT: readonly ((socket: Socket) => void)[] = [
  socket => void socket.write(OK),
  socket => void socket.resetAndDestroy(),
  socket => void socket.end(),
  () => undefined,
  socket => void socket.end('no HTTP at all\r\n\r\n'),
  socket => void socket.end(OK.slice(0, -20)),
  socket => void socket.write(OK.slice(0, 30)),
  socket => void socket.write(`HTTP/1.1 200 OK\r\nX-Big: ${'y'.repeat(50_000)}\r\n\r\n`),
  socket => void socket.write('HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\nboom'),
  socket => void socket.end('HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n'),
  socket => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'),
  socket => void socket.write(OK.replace('0.9', '9.0')),
  socket => void socket.write(OK + OK),
]
const ROUNDS = 10
const AT_ONCE = 13

/** Conducts itself differently with every request, as soon as all of it is there. */
async function whimsicalCandidate(t: Test): Promise<{ url: string; asked: () => number }> {
  let asked = 0
  const received = new Map<Socket, number>()
  const { url } = await rawUpstream(t, (socket, text) => {
    const head = text.indexOf('\r\n\r\n')
    const before = received.get(socket) ?? 0
    const bytes = before > 0 || head === -1 ? before + text.length : text.length - head - 4
    received.set(socket, bytes)
    if (bytes < POST.body.length) return
    received.set(socket, 0)
    CONDUCT[asked++ % CONDUCT.length]?.(socket)
  })
  return { url, asked: () => asked }
}

test('with fallback on, on an idempotent route, no failure of the candidate reaches a client, whatever it does; each counts against it', async t => {
  const candidate = await whimsicalCandidate(t)
  const stable = await upstream(t, (request, response) => {
    request.resume().on('end', () => response.end(BODY))
  })
  const policy = { contract: 'prediction', timeoutMs: 2000, deadlineMs: 60_000 }
  const worker = await startWorker(t, [twoVariants(stable.url, candidate.url, policy)])
  let left = ROUNDS * CONDUCT.length
  const sender = async () => {
    while (left-- > 0) {
      const answer = await worker.send(POST)
      if (answer.status !== 200 || !('prediction_id' in JSON.parse(answer.text)))
        t.fail(JSON.stringify(answer))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, sender))
  const count = (labels: Record<string, string>) => worker.total('weir_requests_total', labels)
  const requests = ROUNDS * CONDUCT.length
  const succeeded = await count({ variant: 'candidate', outcome: 'success' })
  const failed = await count({ variant: 'candidate', outcome: 'failure' })
  t.equal(succeeded + failed, requests, 'every request counts once for the candidate')
  t.equal(await count({ variant: 'stable', kind: 'fallback', outcome: 'success' }), failed)
  t.ok(failed >= requests * 0.7 && succeeded >= requests * 0.1, `${failed} failed, ${succeeded} succeeded`)
  const reasons = (await worker.samples('weir_requests_total')).map(({ labels }) => labels['reason'])
  for (const reason of ['reset', 'timeout', 'invalid', '5xx', 'overload'])
    t.ok(reasons.includes(reason), reason)
})

test('a candidate that fails in mid-upload is answered for by stable, which gets every byte', async t => {
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
  const stable = await upstream(t, (request, response) => {
    const hash = createHash('sha256')
    request.on('data', (chunk: Buffer) => hash.update(chunk))
    request.on('end', () => response.end(hash.digest('hex')))
  })
  const failing = {
    'answers 500 and reads on': await upstream(t, (request, response) => {
      request.once('data', () => response.writeHead(500).end())
    }),
    'closes the connection': await upstream(t, request => {
      request.once('data', () => request.socket.destroy())
    }),
    'stops reading': await upstream(t, request => void request.pause()),
  }
  const body = Buffer.from(Array.from({ length: 8_000_000 }, (_, n) => n % 251))
  for (const [name, candidate] of Object.entries(failing)) {
    const worker = await startWorker(t, [
      twoVariants(stable.url, candidate.url, { timeoutMs: 2000, deadlineMs: 60_000 }),
    ])
    t.match(await worker.send({ method: 'POST', body }), { status: 200, text: digest(body) }, name)
    t.ok(
      await eventually(async () => (await worker.total('weir_requests_total', { outcome: 'failure' })) === 1),
    )
  }
})
