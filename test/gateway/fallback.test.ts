import { test } from 'tap'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { eventually, namedUpstream, PREDICTION, send, startWorker, twoVariants, upstream } from './harness.ts'

const POST = { method: 'POST', body: 'x'.repeat(2000) }

/** Ways to fail, and the reason under which each is counted. */
const FAILING: Record<string, { reason: string; handler: RequestListener }> = {
  'answers 500': {
    reason: '5xx',
    handler: (request, response) =>
      void request.resume().on('end', () => response.writeHead(500).end('boom')),
  },
  'answers 502': { reason: '5xx', handler: (_, response) => void response.writeHead(502).end() },
  'answers 504': { reason: '5xx', handler: (_, response) => void response.writeHead(504).end() },
  'sheds with 503': { reason: 'overload', handler: (_, response) => void response.writeHead(503).end() },
  'resets before an answer': { reason: 'reset', handler: request => void request.socket.destroy() },
  'hangs before its head': { reason: 'timeout', handler: request => void request.resume() },
  'hangs in mid-body': {
    reason: 'timeout',
    handler: (_, response) => void response.writeHead(200, { 'content-length': 100 }).write('{'),
  },
  'dies in mid-body': {
    reason: 'reset',
    handler: (request, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('{', () => request.socket.destroy())
    },
  },
}

for (const [name, { reason, handler }] of Object.entries(FAILING)) {
  test(`a candidate that ${name} is answered for by stable, and it counts against the candidate`, async t => {
    const candidate = await upstream(t, handler)
    const timing = reason === 'timeout' ? { timeoutMs: 1500 } : {}
    const worker = await startWorker(t, [
      twoVariants(await namedUpstream(t, 'stable'), candidate.url, timing),
    ])
    const answer = await worker.send(POST)
    t.match(answer, {
      status: 200,
      text: 'stable',
      headers: { 'x-weir-variant': 'stable', 'x-weir-fallback': 'candidate' },
    })
    t.equal(
      await worker.total('weir_requests_total', {
        variant: 'candidate',
        kind: 'split',
        outcome: 'failure',
        reason,
      }),
      1,
    )
    t.equal(
      await worker.total('weir_requests_total', { variant: 'stable', kind: 'fallback', outcome: 'success' }),
      1,
    )
    t.equal(await worker.total('weir_request_duration_seconds_count', { variant: 'candidate' }), 1)
  })
}

for (const [name, bytes] of Object.entries({
  garbage: 'no HTTP at all\r\n\r\n',
  'an oversized header': `HTTP/1.1 200 OK\r\nx-big: ${'y'.repeat(100_000)}\r\n\r\n`,
})) {
  test(`a candidate that sends ${name} is invalid, and stable answers`, async t => {
    const server = createServer(socket => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end(bytes))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => server.close())
    const candidate = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const worker = await startWorker(t, [twoVariants(await namedUpstream(t, 'stable'), candidate)])
    t.match(await worker.send(), { status: 200, text: 'stable' })
    t.equal(
      await worker.total('weir_requests_total', {
        variant: 'candidate',
        outcome: 'failure',
        reason: 'invalid',
      }),
      1,
    )
  })
}

test('a candidate that refuses connections is answered for by stable, even where requests must not be replayed', async t => {
  const worker = await startWorker(t, [
    twoVariants(await namedUpstream(t, 'stable'), 'http://127.0.0.1:1', { idempotent: false }),
  ])
  t.match(await worker.send(POST), { status: 200, text: 'stable' })
  t.equal(await worker.total('weir_requests_total', { variant: 'candidate', reason: 'connect' }), 1)
})

test('without `idempotent: true` a request whose effect is unknown is not replayed', async t => {
  const candidate = await upstream(t, request => void request.socket.destroy())
  const worker = await startWorker(t, [
    twoVariants(await namedUpstream(t, 'stable'), candidate.url, { idempotent: false }),
  ])
  t.match(await worker.send(POST), { status: 502 })
  t.equal(await worker.total('weir_unprotected_total', { reason: 'not_idempotent' }), 1)
})

test('an answer over 64 KiB streams from there on: a death after that reaches the client, and is counted', async t => {
  const candidate = await upstream(t, (request, response) => {
    response.writeHead(200, { 'content-length': 200_000 })
    response.write('y'.repeat(100_000), () => setTimeout(() => request.socket.destroy(), 50))
  })
  const worker = await startWorker(t, [twoVariants(await namedUpstream(t, 'stable'), candidate.url)])
  t.match(await worker.send(POST), { status: 0 })
  t.equal(
    await worker.total('weir_unprotected_total', { variant: 'candidate', reason: 'answer_too_long' }),
    1,
  )
  t.equal(
    await worker.total('weir_requests_total', { variant: 'candidate', outcome: 'failure', reason: 'reset' }),
    1,
  )
})

test('a body too long to be kept streams through, without fallback, and is counted', async t => {
  const candidate = await upstream(t, (request, response) => {
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    request.on('end', () => response.writeHead(500).end(String(bytes)))
  })
  const policy = twoVariants(await namedUpstream(t, 'stable'), candidate.url, {
    replayMaxBytes: '512KiB',
    timeoutMs: 5000,
  })
  const worker = await startWorker(t, [policy])
  t.match(await worker.send({ method: 'POST', body: Buffer.alloc(3_000_000) }), {
    status: 500,
    text: '3000000',
  })
  t.equal(await worker.total('weir_unprotected_total', { reason: 'body_not_kept' }), 1)
})

test('an answer that breaks the prediction contract is invalid: stable answers, with a prediction id', async t => {
  const candidate = await upstream(t, (_, response) => void response.end('{"label":"Bread"}'))
  const stable = await upstream(t, (_, response) => void response.end(JSON.stringify(PREDICTION)))
  const worker = await startWorker(t, [twoVariants(stable.url, candidate.url, { contract: 'prediction' })])
  const answer = await worker.send({ ...POST, path: '/predict' })
  t.match(answer, { status: 200, headers: { 'x-weir-fallback': 'candidate', 'x-weir-model-version': '1' } })
  t.match(JSON.parse(answer.text), { ...PREDICTION, prediction_id: String })
  t.equal(await worker.total('weir_requests_total', { variant: 'candidate', reason: 'invalid' }), 1)
  t.equal(await worker.total('weir_predictions_total', { variant: 'stable', label: 'Bread' }), 1)
})

test('the contract holds whatever the query, and its answers are asked for uncompressed', async t => {
  const encodings: unknown[] = []
  const { url } = await upstream(t, (request, response) => {
    encodings.push(request.headers['accept-encoding'])
    response.end(JSON.stringify(PREDICTION))
  })
  const worker = await startWorker(t, [twoVariants(url, url, { contract: 'prediction' })])
  const headers = { 'accept-encoding': 'gzip, br' }
  for (const path of ['/predict', '/predict?k=1', '/v2/predict?a=/b'])
    t.match(JSON.parse((await worker.send({ ...POST, path, headers })).text), { prediction_id: String })
  t.notMatch((await worker.send({ ...POST, path: '/x?to=/predict', headers })).text, 'prediction_id')
  t.same(encodings, ['identity', 'identity', 'identity', 'gzip, br'])
})

test("a refusal by the candidate (4xx) is the client's own and passes unchanged", async t => {
  const candidate = await upstream(
    t,
    (request, response) => void request.resume().on('end', () => response.writeHead(422).end('{"error":{}}')),
  )
  const worker = await startWorker(t, [
    twoVariants(await namedUpstream(t, 'stable'), candidate.url, { contract: 'prediction' }),
  ])
  t.match(await worker.send({ ...POST, path: '/predict' }), { status: 422, text: '{"error":{}}' })
  t.equal(await worker.total('weir_requests_total', { variant: 'candidate', outcome: 'client_error' }), 1)
})

test('when all endpoints of the candidate are out, its share goes to stable at once', async t => {
  let asked = 0
  const candidate = await upstream(t, (_, response) => {
    asked++
    response.end('candidate')
  })
  const worker = await startWorker(t, [twoVariants(await namedUpstream(t, 'stable'), candidate.url)])
  await worker.worker.receive({ type: 'endpoints', states: [[`food11 candidate ${candidate.url}`, 'out']] })
  t.match(await worker.send(POST), { text: 'stable', headers: { 'x-weir-fallback': 'candidate' } })
  t.equal(asked, 0)
})

test('with nobody else to ask, an endpoint that is out is better than a refusal', async t => {
  const stable = await namedUpstream(t, 'stable')
  const worker = await startWorker(t, [
    twoVariants(stable, 'http://127.0.0.1:1', { weights: { stable: 100, candidate: 0 } }),
  ])
  await worker.worker.receive({ type: 'endpoints', states: [[`food11 stable ${stable}`, 'out']] })
  t.match(await send(worker.port, POST), { status: 200, text: 'stable' })
})

test('fallback happens once: when stable fails as well, the client hears of that, and nobody is asked again', async t => {
  const asked: string[] = []
  const failing = (name: string, status: number) =>
    upstream(t, (_, response) => {
      asked.push(name)
      response.writeHead(status).end(name)
    })
  const [stable, candidate] = [await failing('stable', 502), await failing('candidate', 500)]
  const worker = await startWorker(t, [twoVariants(stable.url, candidate.url)])
  t.match(await worker.send(POST), {
    status: 502,
    text: 'stable',
    headers: { 'x-weir-variant': 'stable', 'x-weir-fallback': 'candidate' },
  })
  t.same(asked, ['candidate', 'stable'])
  for (const variant of asked)
    t.equal(await worker.total('weir_requests_total', { variant, outcome: 'failure', reason: '5xx' }), 1)
})

test('a route says for which failures it falls back: others pass to the client, and are counted', async t => {
  const candidate = await upstream(t, (_, response) => void response.writeHead(500).end('boom'))
  const fallback = { to: 'stable', on: ['connect', 'reset'] }
  const worker = await startWorker(t, [
    twoVariants(await namedUpstream(t, 'stable'), candidate.url, { fallback }),
  ])
  t.match(await worker.send(POST), { status: 500, text: 'boom' })
  t.equal(await worker.total('weir_unprotected_total', { reason: 'reason_excluded' }), 1)
  t.equal(await worker.total('weir_requests_total', { variant: 'candidate', reason: '5xx' }), 1)
  await worker.set(twoVariants(await namedUpstream(t, 'stable'), 'http://127.0.0.1:1', { fallback }))
  t.match(await worker.send(POST), { status: 200, text: 'stable' })
})

test("fallback is limited by stable's own bound: beyond it a request is shed, and counted", async t => {
  let answer = () => undefined as void
  let asked = 0
  const stable = await upstream(t, (_, response) => {
    asked++
    answer = () => void response.end('stable')
  })
  const variants = {
    stable: { endpoints: [stable.url], maxInFlight: 1, maxQueued: 0 },
    candidate: { endpoints: ['http://127.0.0.1:1'] },
  }
  const worker = await startWorker(t, [twoVariants(stable.url, '', { variants, timeoutMs: 20_000 })])
  const first = worker.send(POST)
  t.ok(await eventually(() => asked === 1))
  t.match(await worker.send(POST), { status: 503, headers: { 'retry-after': '1' }, text: /overloaded/ })
  answer()
  t.match(await first, { status: 200, text: 'stable' })
  t.equal(await worker.total('weir_requests_total', { variant: 'stable', reason: 'overload' }), 1)
})

test('HEAD, 204 and 304 pass through a held answer as they are', async t => {
  const candidate = await upstream(t, (request, response) => {
    const status = Number(request.url?.slice(1))
    response.writeHead(status, { etag: '"1"', ...(status === 200 && { 'content-length': 5 }) })
    response.end(status === 200 && request.method !== 'HEAD' ? 'hello' : undefined)
  })
  const worker = await startWorker(t, [twoVariants(await namedUpstream(t, 'stable'), candidate.url)])
  t.match(await worker.send({ method: 'HEAD', path: '/200' }), {
    status: 200,
    text: '',
    headers: { 'content-length': '5' },
  })
  for (const status of [204, 304]) {
    const answer = await worker.send({ path: `/${status}` })
    t.match(answer, { status, text: '', headers: { etag: '"1"', 'x-weir-variant': 'candidate' } })
    t.notOk('transfer-encoding' in answer.headers)
  }
  t.match(await worker.send({ path: '/200' }), { status: 200, text: 'hello' })
})
