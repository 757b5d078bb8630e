import { connect, type Socket } from 'node:net'
import { test, type Test } from 'tap'
import { eventually, namedUpstream, send, startWorker, upstream } from './harness.ts'

// A client may go away at any stage of its request. Each time the upstream is let go, the place it held is free again, and
// nobody is blamed.

const HEAD = 'POST /x HTTP/1.1\r\nHost: a\r\n'

function begin(t: Test, port: number, bytes: string): Socket {
  const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
  socket.on('error', () => undefined) // it is destroyed below
  t.teardown(() => socket.destroy())
  return socket
}

/** An upstream that keeps its requests until they are let go; with `beginning` it sends that much of an answer first. */
async function hangingUpstream(t: Test, beginning?: Buffer) {
  const seen = { asked: 0, received: 0, gone: 0 }
  const { url } = await upstream(t, (request, response) => {
    seen.asked++
    request.on('data', (chunk: Buffer) => (seen.received += chunk.length))
    response.on('close', () => seen.gone++)
    if (beginning) response.writeHead(200, { 'content-length': beginning.length + 1 }).write(beginning)
  })
  return { url, seen }
}

/** A route whose variants have room for one request: a place that is not given back shows at once. */
function narrowRoute(stable: string, candidate: string, settings: object = {}): object {
  const variant = (endpoint: string) => ({ endpoints: [endpoint], maxInFlight: 1, maxQueued: 1 })
  return {
    name: 'food11',
    variants: { stable: variant(stable), candidate: variant(candidate) },
    weights: { stable: 0, candidate: 100 },
    idempotent: true,
    contract: 'none',
    timeoutMs: 20_000,
    ...settings,
  }
}

type Started = Awaited<ReturnType<typeof startWorker>>

async function blameless(t: Test, worker: Started, dropped: number): Promise<void> {
  t.ok(
    await eventually(
      async () => (await worker.total('weir_requests_total', { outcome: 'dropped' })) === dropped,
    ),
  )
  t.equal(await worker.total('weir_requests_total', { outcome: 'failure' }), 0)
  t.same(worker.reports, [])
}

interface Stage {
  readonly sends: string
  /** What the upstream has had of the body, or begun to answer, when the client goes. */
  readonly received: number
  readonly beginning?: Buffer
}

const STAGES: Record<string, Stage> = {
  'before the answer': { sends: `${HEAD}Content-Length: 1\r\n\r\nx`, received: 1 },
  'in mid-upload': {
    sends: `${HEAD}Content-Length: 2000000\r\n\r\n${'x'.repeat(1_000_000)}`,
    received: 1_000_000,
  },
  'in a chunked upload': {
    sends: `${HEAD}Transfer-Encoding: chunked\r\n\r\nf4240\r\n${'x'.repeat(1_000_000)}\r\n`,
    received: 1_000_000,
  },
  'in mid-answer': {
    sends: `${HEAD}Content-Length: 1\r\n\r\nx`,
    received: 1,
    beginning: Buffer.from('{"label"'),
  },
}

for (const [stage, { sends, received, beginning }] of Object.entries(STAGES)) {
  for (const armed of [false, true]) {
    test(`a client that goes away ${stage}${armed ? ', with a fallback armed,' : ''} ends the request at the upstream`, async t => {
      const { url, seen } = await hangingUpstream(t, beginning)
      const stable = await namedUpstream(t, 'stable')
      const settings = armed ? { fallback: { to: 'stable' } } : {}
      const worker = await startWorker(t, [narrowRoute(stable, url, settings)])
      const client = begin(t, worker.port, sends)
      t.ok(await eventually(() => seen.received === received))
      client.destroy()
      t.ok(await eventually(() => seen.gone === 1), 'the upstream sees it')
      await blameless(t, worker, 1)
      t.equal(await worker.total('weir_requests_total', { variant: 'stable' }), 0, 'nothing is replayed')
      await worker.set(narrowRoute(stable, await namedUpstream(t, 'next')))
      t.match(await worker.send(), { status: 200, text: 'next' }, 'its place is free')
    })
  }
}

for (const [stage, bytes] of Object.entries({
  'before a byte': '',
  'in its headers': 'POST /x HTTP/1.1\r\nHo',
  'in a body that is still being gathered': `${HEAD}Content-Length: 10\r\n\r\n12345`,
})) {
  test(`a client that goes away ${stage} has never been heard of at the upstream`, async t => {
    const { url, seen } = await hangingUpstream(t)
    const worker = await startWorker(t, [narrowRoute(url, url)])
    const client = begin(t, worker.port, bytes)
    await send(worker.port, { path: '/livez' }) // a round trip later the first has surely been seen
    client.destroy()
    await send(worker.port, { path: '/livez' })
    await blameless(t, worker, 0)
    t.equal(seen.asked, 0)
  })
}

test('a client that goes away while its request is queued leaves the queue', async t => {
  const { url, seen } = await hangingUpstream(t)
  const worker = await startWorker(t, [narrowRoute(url, url)])
  const first = begin(t, worker.port, `${HEAD}Content-Length: 0\r\n\r\n`)
  t.ok(await eventually(() => seen.asked === 1))
  const queued = begin(t, worker.port, `${HEAD}Content-Length: 0\r\n\r\n`)
  t.ok(await eventually(async () => (await worker.total('weir_assigned_total')) === 2))
  t.match(await worker.send(), { status: 503 }, 'the queue is full')
  queued.destroy()
  t.ok(
    await eventually(async () => (await worker.total('weir_requests_total', { outcome: 'dropped' })) === 1),
  )
  const next = begin(t, worker.port, `${HEAD}Content-Length: 0\r\n\r\n`)
  t.ok(await eventually(async () => (await worker.total('weir_assigned_total')) === 4))
  first.destroy()
  t.ok(await eventually(() => seen.asked === 2), 'the next has its place')
  next.destroy()
  t.ok(await eventually(() => seen.gone === 2))
})

test('a client that goes away while stable answers for the candidate ends that, too; the candidate has failed all the same', async t => {
  const { url, seen } = await hangingUpstream(t)
  const worker = await startWorker(t, [
    narrowRoute(url, 'http://127.0.0.1:1', { fallback: { to: 'stable' } }),
  ])
  const client = begin(t, worker.port, `${HEAD}Content-Length: 1\r\n\r\nx`)
  t.ok(await eventually(() => seen.asked === 1))
  client.destroy()
  t.ok(await eventually(() => seen.gone === 1))
  const total = (labels: Record<string, string>) => worker.total('weir_requests_total', labels)
  t.ok(await eventually(async () => (await total({ variant: 'stable', outcome: 'dropped' })) === 1))
  t.equal(await total({ variant: 'candidate', outcome: 'failure', reason: 'connect' }), 1)
  t.equal(await total({ variant: 'stable', outcome: 'failure' }), 0)
})

test('a client that goes away after its answer does not end the copy for the mirror', async t => {
  let finish = () => undefined as void
  let outcome = ''
  const shadow = await upstream(t, (_, response) => {
    response.on('close', () => (outcome = response.writableFinished ? 'complete' : 'cut short'))
    finish = () => void response.end('shadow')
  })
  const mirror = { to: 'candidate', percent: 100 }
  const weights = { stable: 100, candidate: 0 }
  const worker = await startWorker(t, [
    narrowRoute(await namedUpstream(t, 'stable'), shadow.url, { weights, mirror }),
  ])
  t.equal((await worker.send({ method: 'POST', body: 'x' })).text, 'stable') // its connection is gone with this
  t.ok(await eventually(async () => (await worker.total('weir_mirror_total', { result: 'sent' })) === 1))
  t.ok(
    await eventually(() => {
      finish()
      return outcome !== ''
    }),
  )
  t.equal(outcome, 'complete')
})
