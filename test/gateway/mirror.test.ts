import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { test } from 'tap'
import {
  eventually,
  namedUpstream,
  PREDICTION,
  sendRaw,
  startWorker,
  twoVariants,
  upstream,
} from './harness.ts'

const MIRRORED = { weights: { stable: 100, candidate: 0 }, mirror: { to: 'candidate', percent: 100 } }
const POST = { method: 'POST', body: 'photo' }

test('every request is copied, marked, with its body, and the client sees the live answer', async t => {
  const copies: { headers: IncomingMessage['headers']; body: string }[] = []
  const shadow = await upstream(t, (request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      copies.push({ headers: request.headers, body })
      response.end('shadow')
    })
  })
  const worker = await startWorker(t, [twoVariants(await namedUpstream(t, 'stable'), shadow.url, MIRRORED)])
  for (let n = 0; n < 5; n++)
    t.equal((await worker.send({ ...POST, headers: { 'x-request-id': `r${n}` } })).text, 'stable')
  t.ok(await eventually(() => copies.length === 5))
  t.match(copies[0], { headers: { 'x-weir-shadow': '1' }, body: 'photo' })
  t.equal(await worker.total('weir_mirror_total', { variant: 'candidate', result: 'sent' }), 5)
  t.ok(
    await eventually(
      async () => (await worker.total('weir_requests_total', { kind: 'mirror', outcome: 'success' })) === 5,
    ),
  )
})

test('a share is copied exactly; overrides and refused requests are never copied', async t => {
  let copies = 0
  const shadow = await upstream(t, (request, response) => {
    if (request.headers['x-weir-shadow']) copies++
    response.end()
  })
  const stable = await upstream(
    t,
    (request, response) => void response.writeHead(request.url === '/bad' ? 400 : 200).end(),
  )
  const worker = await startWorker(t, [
    twoVariants(stable.url, shadow.url, { ...MIRRORED, mirror: { to: 'candidate', percent: 20 } }),
  ])
  for (let n = 0; n < 50; n++) await worker.send()
  t.ok(await eventually(() => copies === 10))
  for (let n = 0; n < 10; n++) await worker.send({ path: '/bad' })
  for (let n = 0; n < 10; n++) await worker.send({ headers: { 'x-weir-variant': 'stable' } })
  t.equal(await worker.total('weir_mirror_total', { result: 'sent' }), 10)
})

test('a hanging shadow costs its cap and nothing else; what is not copied is counted by reason', async t => {
  const shadow = await upstream(t, () => undefined)
  const mirror = { to: 'candidate', percent: 100, maxInFlight: 3 }
  const worker = await startWorker(t, [
    twoVariants(await namedUpstream(t, 'stable'), shadow.url, { ...MIRRORED, mirror }),
  ])
  for (let n = 0; n < 10; n++) t.equal((await worker.send(POST)).text, 'stable')
  t.equal(await worker.total('weir_mirror_total', { result: 'sent' }), 3)
  t.equal(await worker.total('weir_mirror_total', { result: 'too_many_in_flight' }), 7)
})

test('bytes in flight are capped as well', async t => {
  const shadow = await upstream(t, () => undefined)
  const mirror = { to: 'candidate', percent: 100, maxBytes: 1000 }
  const worker = await startWorker(t, [
    twoVariants(await namedUpstream(t, 'stable'), shadow.url, { ...MIRRORED, mirror }),
  ])
  for (let n = 0; n < 4; n++) await worker.send({ method: 'POST', body: 'x'.repeat(400) })
  t.equal(await worker.total('weir_mirror_total', { result: 'sent' }), 2)
  t.equal(await worker.total('weir_mirror_total', { result: 'too_many_bytes' }), 2)
})

test('live and mirrored answers are compared, and the record holds a digest of the input, not the input', async t => {
  const answers = [PREDICTION, { ...PREDICTION, label: 'Egg', confidence: 0.6 }, { label: 'Bread' }]
  const stable = await upstream(t, (_, response) => void response.end(JSON.stringify(PREDICTION)))
  const shadow = await upstream(t, (_, response) => {
    const answer = answers.shift()
    if (answer) response.end(JSON.stringify(answer))
    else response.writeHead(500).end()
  })
  const worker = await startWorker(t, [
    twoVariants(stable.url, shadow.url, { ...MIRRORED, contract: 'prediction' }),
  ])
  for (let n = 1; n <= 4; n++) {
    t.equal((await worker.send({ ...POST, path: '/predict' })).status, 200)
    t.ok(await eventually(() => worker.comparisons.length === n))
  }
  t.same(
    worker.comparisons.map(({ result }) => result),
    ['agree', 'disagree', 'invalid', 'failure'],
  )
  const [, differing] = worker.comparisons
  t.match(differing, {
    live: { variant: 'stable', label: 'Bread' },
    mirrored: { variant: 'candidate', label: 'Egg' },
    topKOverlap: 1,
  })
  t.ok(Math.abs((differing?.confidenceDifference ?? 0) - 0.3) < 1e-9)
  t.match(differing?.inputDigest, /^sha256:[0-9a-f]{64}$/)
  t.notOk(differing && 'inputBase64' in differing)
  for (const result of ['agree', 'disagree', 'invalid', 'failure'])
    t.equal(await worker.total('weir_comparisons_total', { variant: 'candidate', result }), 1)
})

test('a noise floor comes from stable mirrored to itself', async t => {
  const stable = await upstream(t, (_, response) => void response.end(JSON.stringify(PREDICTION)))
  const mirror = { to: 'candidate', percent: 0, noiseFloorPercent: 50 }
  const worker = await startWorker(t, [
    twoVariants(stable.url, stable.url, { ...MIRRORED, mirror, contract: 'prediction' }),
  ])
  for (let n = 0; n < 4; n++) await worker.send({ ...POST, path: '/predict' })
  t.ok(
    await eventually(
      async () =>
        (await worker.total('weir_comparisons_total', { variant: 'stable', result: 'agree' })) === 2,
    ),
  )
})

test('the copy leaves after the live answer: not while that is awaited, and not when the gateway itself refuses', async t => {
  let answer: (() => void) | undefined
  let copies = 0
  const live = await upstream(t, (_, response) => {
    answer = () => void response.end('live')
  })
  const shadow = await upstream(t, (_, response) => {
    copies++
    response.end()
  })
  const worker = await startWorker(t, [twoVariants(live.url, shadow.url, { ...MIRRORED, timeoutMs: 20_000 })])
  const pending = worker.send(POST)
  t.ok(await eventually(() => answer !== undefined))
  t.equal(await worker.total('weir_mirror_total'), 0)
  answer?.()
  t.equal((await pending).text, 'live')
  t.ok(await eventually(() => copies === 1))
  t.match(await worker.send({ path: '/x', headers: { 'x-weir-variant': 'nobody' } }), { status: 404 })
  t.equal(await worker.total('weir_mirror_total'), 1)
})

test('large bodies are copied byte for byte; those too long to keep are not, and counted', async t => {
  const digests: string[] = []
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
  const shadow = await upstream(t, (request, response) => {
    const hash = createHash('sha256')
    request.on('data', (chunk: Buffer) => hash.update(chunk))
    request.on('end', () => {
      digests.push(hash.digest('hex'))
      response.end()
    })
  })
  const policy = { ...MIRRORED, replayMaxBytes: '8MiB', timeoutMs: 20_000 }
  const worker = await startWorker(t, [twoVariants(await namedUpstream(t, 'stable'), shadow.url, policy)])
  const body = Buffer.from(Array.from({ length: 5_000_000 }, (_, n) => n % 251))
  t.equal((await worker.send({ method: 'POST', body })).text, 'stable')
  t.ok(await eventually(() => digests.length === 1))
  t.same(digests, [digest(body)])
  t.equal((await worker.send({ method: 'POST', body: Buffer.concat([body, body]) })).text, 'stable')
  t.equal(await worker.total('weir_mirror_total', { result: 'body_not_kept' }), 1)
  t.equal(await worker.total('weir_mirror_total', { result: 'sent' }), 1)
})

test('a mirror has its own connections, places and deadline: a hanging shadow takes none of those of live requests', async t => {
  const candidate = await upstream(t, (request, response) => {
    if (!request.headers['x-weir-shadow']) response.end('candidate')
  })
  const stable = await namedUpstream(t, 'stable')
  const variants = {
    stable: { endpoints: [stable] },
    candidate: { endpoints: [candidate.url], maxInFlight: 1, maxQueued: 0 },
  }
  const mirror = { to: 'candidate', percent: 100, maxInFlight: 2, timeoutMs: 300 }
  const worker = await startWorker(t, [
    twoVariants(stable, candidate.url, { ...MIRRORED, variants, mirror, timeoutMs: 20_000 }),
  ])
  for (let n = 0; n < 2; n++) t.equal((await worker.send(POST)).text, 'stable')
  t.equal((await worker.send({ ...POST, headers: { 'x-weir-variant': 'candidate' } })).text, 'candidate')
  const timedOut = { kind: 'mirror', outcome: 'failure', reason: 'timeout' }
  t.ok(await eventually(async () => (await worker.total('weir_requests_total', timedOut)) === 2))
  t.equal((await worker.send(POST)).text, 'stable')
  t.equal(await worker.total('weir_mirror_total', { result: 'sent' }), 3, 'and its places are free again')
})

test('what a shadow does wrong has no fallback, no retry, no ejection, and no part in the live counts', async t => {
  let liveAsked = 0
  const stable = await upstream(t, (_, response) => {
    liveAsked++
    response.end('stable')
  })
  let shadowAsked = 0
  const shadow = await upstream(t, request => {
    shadowAsked++
    request.socket.destroy()
  })
  const worker = await startWorker(t, [twoVariants(stable.url, shadow.url, MIRRORED)])
  for (let n = 0; n < 10; n++) t.equal((await worker.send(POST)).text, 'stable')
  const failed = { kind: 'mirror', outcome: 'failure', reason: 'reset' }
  t.ok(await eventually(async () => (await worker.total('weir_requests_total', failed)) === 10))
  t.match({ liveAsked, shadowAsked }, { liveAsked: 10, shadowAsked: 10 })
  t.same(worker.reports, [], 'the primary hears of no failing endpoint')
  t.equal(await worker.total('weir_requests_total', { outcome: 'failure', kind: 'split' }), 0)
})

test('a mirror of 0 % copies nothing, and one without an endpoint says why', async t => {
  const url = await namedUpstream(t, 'stable')
  const variants = { stable: { endpoints: [url] }, candidate: { endpoints: [] } }
  const off = { ...MIRRORED, mirror: { to: 'candidate', percent: 0 } }
  const worker = await startWorker(t, [twoVariants(url, url, off)])
  for (let n = 0; n < 10; n++) await worker.send(POST)
  t.equal(await worker.total('weir_mirror_total'), 0)
  await worker.set(twoVariants(url, url, { ...MIRRORED, variants }))
  t.equal((await worker.send(POST)).text, 'stable')
  t.equal(await worker.total('weir_mirror_total', { result: 'no_endpoint' }), 1)
})

test("a mirror does not hold up the next request on the client's connection", async t => {
  const shadow = await upstream(t, () => undefined)
  const worker = await startWorker(t, [twoVariants(await namedUpstream(t, 'stable'), shadow.url, MIRRORED)])
  const request = 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n'
  const answers = await sendRaw(
    worker.port,
    `${request}${request}${request.replace('Host', 'Connection: close\r\nHost')}`,
  )
  t.equal(answers.split('HTTP/1.1 200 ').length - 1, 3)
})
