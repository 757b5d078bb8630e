import { test } from 'tap'
import type { IncomingMessage } from 'node:http'
import { eventually, namedUpstream, PREDICTION, startWorker, twoVariants, upstream } from './harness.ts'

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
