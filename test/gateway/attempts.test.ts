import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { test } from 'tap'
import { createLimiter, createRetryBudget } from '../../gateway/worker/limits.ts'
import { pickTarget, type Target } from '../../gateway/worker/target.ts'
import { eventually, namedUpstream, startWorker, twoVariants, upstream } from './harness.ts'

const CANDIDATE_ONLY = { fallback: undefined, weights: { stable: 0, candidate: 100 } }

test('a retry goes to another endpoint of the same variant', async t => {
  const url = await namedUpstream(t, 'second')
  const variants = { stable: { endpoints: [url] }, candidate: { endpoints: ['http://127.0.0.1:1', url] } }
  const retry = { minPerSecond: 100 }
  const worker = await startWorker(t, [twoVariants(url, url, { ...CANDIDATE_ONLY, variants, retry })])
  for (let n = 0; n < 4; n++)
    t.match(await worker.send({ method: 'POST', body: 'a' }), { status: 200, text: 'second' })
  t.equal(
    await worker.total('weir_requests_total', { kind: 'retry', outcome: 'success' }),
    await worker.total('weir_requests_total', { kind: 'split', outcome: 'failure', reason: 'connect' }),
  )
})

test('retries are limited to a share of the requests, and at least so many a second', async t => {
  let now = 0
  const budget = createRetryBudget(0.2, 3, () => now)
  t.same([budget.spend(), budget.spend(), budget.spend(), budget.spend()], [true, true, true, false])
  now = 1000
  for (let n = 0; n < 100; n++) budget.requested()
  t.equal(Array.from({ length: 100 }, () => budget.spend()).filter(Boolean).length, 20)
  now = 5000
  t.equal(Array.from({ length: 100 }, () => budget.spend()).filter(Boolean).length, 3)
})

test('of two endpoints chosen at random the one with less in flight is taken', async t => {
  const target = (endpoint: string, inFlight: number, state: Target['state'] = 'up') =>
    ({ endpoint, inFlight, state }) as Target
  const targets = [
    target('busy', 9),
    target('idle', 1),
    target('out', 0, 'out'),
    target('on trial', 1, 'trial'),
  ]
  for (const random of [0, 0.3, 0.6, 0.99]) t.equal(pickTarget(targets, [], () => random)?.endpoint, 'idle')
  t.equal(pickTarget([target('out', 0, 'out')], []), undefined)
})

test('a limit holds, its queue is bounded and served in order', async t => {
  const limiter = createLimiter(1, 2)
  const admitted: string[] = []
  const enter = (name: string) => limiter.enter(() => admitted.push(name))
  t.same([enter('a'), enter('b'), enter('c'), enter('d')], ['admitted', 'queued', 'queued', 'refused'])
  limiter.release()
  limiter.release()
  t.same(admitted, ['b', 'c'])
  limiter.release()
  t.equal(limiter.inFlight, 0)
})

test("what is over a variant's limits is shed with 503 and Retry-After, counted as its overload", async t => {
  const { url } = await upstream(t, () => undefined)
  const variants = { candidate: { endpoints: [url], maxInFlight: 1, maxQueued: 0 } }
  const worker = await startWorker(t, [
    { name: 'food11', variants, weights: { candidate: 100 }, contract: 'none', timeoutMs: 300 },
  ])
  const [hanging, shed] = await Promise.all([worker.send(), worker.send()])
  t.match(hanging, { status: 504, text: /gateway_timeout/ })
  t.match(shed, { status: 503, headers: { 'retry-after': '1' }, text: /overloaded/ })
  t.equal(await worker.total('weir_requests_total', { outcome: 'failure', reason: 'overload' }), 1)
})

test("a request over the candidate's limits falls back to stable", async t => {
  let answer: (() => void) | undefined
  const { url } = await upstream(t, (_, response) => {
    answer = () => void response.end('candidate')
  })
  const stable = await namedUpstream(t, 'stable')
  const variants = {
    stable: { endpoints: [stable] },
    candidate: { endpoints: [url], maxInFlight: 1, maxQueued: 0 },
  }
  const worker = await startWorker(t, [twoVariants(stable, url, { variants })])
  const first = worker.send()
  t.ok(await eventually(() => answer !== undefined))
  t.match(await worker.send(), { status: 200, text: 'stable', headers: { 'x-weir-fallback': 'candidate' } })
  answer?.()
  t.match(await first, { text: 'candidate' })
})

test('all attempts together end at the deadline', async t => {
  const { url } = await upstream(t, () => undefined)
  const worker = await startWorker(t, [twoVariants(url, url, { timeoutMs: 200, deadlineMs: 300 })])
  const startedAt = performance.now()
  t.match(await worker.send(), { status: 504 })
  const tookMs = performance.now() - startedAt
  t.ok(tookMs >= 295 && tookMs < 1500, `${tookMs} ms`)
})

test('a hedge asks the other variant when the chosen one is slower than that usually is; the first answer wins', async t => {
  let slow = false
  const candidate = await upstream(t, (_, response) => {
    if (!slow) response.end('candidate')
  })
  const stable = await namedUpstream(t, 'stable')
  const policy = (weights: object) =>
    twoVariants(stable, candidate.url, {
      weights,
      timeoutMs: 2000,
      hedge: { to: 'stable', minSamples: 10 },
    })
  const worker = await startWorker(t, [policy({ stable: 100, candidate: 0 })])
  for (let n = 0; n < 10; n++) await worker.send()
  await worker.set(policy({ stable: 0, candidate: 100 }))
  slow = true
  t.match(await worker.send(), { status: 200, text: 'stable' })
  t.equal(await worker.total('weir_requests_total', { kind: 'hedge', outcome: 'success' }), 1)
  const timedOut = { variant: 'candidate', kind: 'split', outcome: 'failure', reason: 'timeout' }
  t.ok(
    await eventually(async () => (await worker.total('weir_requests_total', timedOut)) === 1),
    'what was outrun counts as it ends: a hanging candidate must not look well',
  )
  t.equal(await worker.total('weir_request_duration_seconds_count', { variant: 'candidate' }), 1)
})

test('what was outrun before the client had sent everything is dropped: it could only time out', async t => {
  let slow = false
  const candidate = await upstream(t, (_, response) => {
    if (!slow) response.end('candidate')
  })
  const { url } = await upstream(t, (_, response) => void response.end('stable'))
  const policy = (weights: object) =>
    twoVariants(url, candidate.url, { weights, timeoutMs: 500, hedge: { to: 'stable', minSamples: 10 } })
  const worker = await startWorker(t, [policy({ stable: 100, candidate: 0 })])
  for (let n = 0; n < 10; n++) await worker.send()
  await worker.set(policy({ stable: 0, candidate: 100 }))
  slow = true
  const client = request({ port: worker.port, host: '127.0.0.1', method: 'POST', path: '/' })
  client.on('error', () => undefined) // the rest of its body is not wanted
  client.setHeader('content-length', 600_000)
  client.write(Buffer.alloc(300_000)) // enough for the attempts to begin
  const [answer] = (await once(client, 'response')) as [IncomingMessage]
  t.equal(answer.resume().statusCode, 200)
  const dropped = { variant: 'candidate', kind: 'split', outcome: 'dropped' }
  t.ok(await eventually(async () => (await worker.total('weir_requests_total', dropped)) === 1))
  client.end(Buffer.alloc(300_000))
  await new Promise(resolve => setTimeout(resolve, 1000)) // twice the time-out
  t.equal(await worker.total('weir_requests_total', { variant: 'candidate', outcome: 'failure' }), 0)
})

test('a hedge that the fallback has overtaken asks nobody', async t => {
  let failing = false
  const candidate = await upstream(t, (_, response) => {
    response.writeHead(failing ? 500 : 200).end('candidate')
  })
  let held: (() => void) | undefined
  const stable = await upstream(t, (_, response) => {
    if (failing) held = () => void response.end('stable')
    else response.end('stable')
  })
  const policy = (weights: object) =>
    twoVariants(stable.url, candidate.url, { weights, hedge: { to: 'stable', minSamples: 10 } })
  const worker = await startWorker(t, [policy({ stable: 100, candidate: 0 })])
  for (let n = 0; n < 10; n++) await worker.send()
  await worker.set(policy({ stable: 0, candidate: 100 }))
  failing = true
  const answer = worker.send()
  t.ok(await eventually(() => held !== undefined))
  await new Promise(resolve => setTimeout(resolve, 300)) // far beyond what stable takes
  held?.()
  t.match(await answer, { status: 200, text: 'stable', headers: { 'x-weir-fallback': 'candidate' } })
  t.equal(await worker.total('weir_requests_total', { kind: 'hedge' }), 0)
})

test('failures are reported to the primary, and whether an answer came between them', async t => {
  let healthy = false
  const { url } = await upstream(t, (_, response) => void response.writeHead(healthy ? 200 : 500).end())
  const worker = await startWorker(t, [twoVariants(url, url, CANDIDATE_ONLY)])
  const key = `food11 candidate ${url}`
  for (let n = 0; n < 3; n++) await worker.send()
  t.ok(await eventually(() => worker.reports.reduce((sum, { failures }) => sum + failures, 0) === 3))
  t.equal(
    worker.reports.every(report => report.key === key && !report.answered),
    true,
  )
  healthy = true
  await worker.send()
  t.ok(await eventually(() => worker.reports.at(-1)?.answered === true))
})

test('a retry after an answer of 5xx, on an idempotent route only; when all endpoints fail, the last answer passes', async t => {
  let asked = 0
  const failing = async () =>
    (
      await upstream(t, (_, response) => {
        asked++
        response.writeHead(500).end(`try ${asked}`)
      })
    ).url
  const endpoints = [await failing(), await failing(), await failing()]
  const variants = { candidate: { endpoints } }
  const policy = (settings: object) => ({
    ...twoVariants('', '', { ...CANDIDATE_ONLY, variants, weights: { candidate: 100 } }),
    ...settings,
  })
  const worker = await startWorker(t, [policy({})])
  t.match(await worker.send({ method: 'POST', body: 'a' }), { status: 500, text: 'try 2' })
  await worker.set(policy({ retry: { attempts: 2 } }))
  t.match(await worker.send({ method: 'POST', body: 'a' }), { status: 500, text: 'try 5' })
  await worker.set(policy({ retry: { attempts: 0 } }))
  t.match(await worker.send({ method: 'POST', body: 'a' }), { status: 500, text: 'try 6' })
  await worker.set(policy({ idempotent: false }))
  t.match(await worker.send({ method: 'POST', body: 'a' }), { status: 500, text: 'try 7' })
})

test('no silent retry of a request that may have been acted upon; one that was never sent is tried elsewhere', async t => {
  let asked = 0
  const dying = await upstream(t, request => {
    asked++
    request.socket.destroy()
  })
  const other = await upstream(t, request => {
    asked++
    request.socket.destroy()
  })
  const policy = (endpoints: string[]) => ({
    ...twoVariants('', '', { ...CANDIDATE_ONLY, idempotent: false, retry: { budgetPercent: 100 } }),
    variants: { stable: { endpoints: [] }, candidate: { endpoints } },
  })
  const worker = await startWorker(t, [policy([dying.url, other.url])])
  for (const method of ['POST', 'GET']) t.match(await worker.send({ method }), { status: 502 })
  t.equal(asked, 2)
  const alive = await namedUpstream(t, 'alive')
  await worker.set(policy(['http://127.0.0.1:1', alive]))
  for (let n = 0; n < 6; n++)
    t.match(await worker.send({ method: 'POST', body: 'a' }), { status: 200, text: 'alive' })
})

test('a refusal (4xx) is an answer and is not tried elsewhere', async t => {
  let asked = 0
  const refusing = async () =>
    (
      await upstream(t, (_, response) => {
        asked++
        response.writeHead(404).end()
      })
    ).url
  const variants = { candidate: { endpoints: [await refusing(), await refusing()] } }
  const worker = await startWorker(t, [
    twoVariants('', '', { ...CANDIDATE_ONLY, variants, weights: { candidate: 100 } }),
  ])
  t.match(await worker.send(), { status: 404 })
  t.equal(asked, 1)
})

test('a retry that the budget does not allow is not made, and counted', async t => {
  const variants = { candidate: { endpoints: ['http://127.0.0.1:1', 'http://127.0.0.2:1'] } }
  const retry = { budgetPercent: 0, minPerSecond: 0 }
  const worker = await startWorker(t, [
    twoVariants('', '', { ...CANDIDATE_ONLY, variants, retry, weights: { candidate: 100 } }),
  ])
  t.match(await worker.send(), { status: 502 })
  t.equal(await worker.total('weir_requests_total', { kind: 'retry' }), 0)
  t.equal(await worker.total('weir_retry_budget_exhausted_total'), 1)
})

test('a hedge is off by default: a slow candidate is waited for', async t => {
  const asked: string[] = []
  let answer: (() => void) | undefined
  const candidate = await upstream(t, (_, response) => {
    answer = () => void response.end('candidate')
  })
  const stable = await upstream(t, (_, response) => {
    asked.push('stable')
    response.end('stable')
  })
  const policy = (weights: object) => twoVariants(stable.url, candidate.url, { weights, timeoutMs: 20_000 })
  const worker = await startWorker(t, [policy({ stable: 100, candidate: 0 })])
  for (let n = 0; n < 20; n++) await worker.send()
  await worker.set(policy({ stable: 0, candidate: 100 }))
  const slow = worker.send()
  t.ok(await eventually(() => answer !== undefined))
  await new Promise(resolve => setTimeout(resolve, 200)) // far beyond what stable usually takes
  answer?.()
  t.match(await slow, { text: 'candidate' })
  t.equal(asked.length, 20)
})
