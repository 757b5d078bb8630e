import { Writable } from 'node:stream'
import { connect } from 'node:net'
import { pino } from 'pino'
import { test, type Test } from 'tap'
import { TracerProvider } from '@opentelemetry/sdk-trace'
import { createCounters } from '../../gateway/worker/counters.ts'
import { createSpanQueue } from '../../gateway/worker/span-queue.ts'
import { startCollector, type ReceivedSpan } from './collector.ts'
import { eventually, namedUpstream, PREDICTION, startWorker, twoVariants, upstream } from './harness.ts'

process.env['OTEL_EXPORTER_OTLP_TIMEOUT'] = '200' // a collector that is down is told at once, not after its retries

const SERVER = 2 // SpanKind of the protocol
const CLIENT = 3
const ERROR = 2
const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736'
const CALLER = { traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-01` }
const ALL = { parentBased: true, ratio: 1 }

/** Answers with this status and keeps the traceparent of every request. */
async function listeningUpstream(t: Test, status: number, body = 'ok') {
  const seen: (string | undefined)[] = []
  const { url } = await upstream(t, (request, response) => {
    seen.push(request.headers.traceparent?.toString())
    request.resume().on('end', () => response.writeHead(status).end(body))
  })
  return { url, seen }
}

function keepLines(level = 'warn') {
  const lines: Record<string, unknown>[] = []
  const write = new Writable({
    write(chunk: Buffer, _, done) {
      lines.push(JSON.parse(chunk.toString()))
      done()
    },
  })
  return { log: pino({ level }, write), lines }
}

const traceparentOf = ({ traceId, spanId }: ReceivedSpan) => `00-${traceId}-${spanId}-01`
const one = ([span]: readonly ReceivedSpan[]) => {
  if (span === undefined) throw new Error('no such span')
  return span
}

test("a request is a span of the caller's trace, its attempt one below it, and the upstream goes on from there", async t => {
  const collector = await startCollector(t)
  const { url, seen } = await listeningUpstream(t, 200)
  const worker = await startWorker(t, [twoVariants(url, url, { match: { pathPrefix: '/food' } })], {
    traces: { url: collector.url, ...ALL },
  })
  await worker.send({ method: 'POST', path: '/food/predict?secret=1', headers: CALLER, body: 'x' })
  await worker.worker.close()
  const server = one(collector.named('POST /food'))
  const attempt = one(collector.named('split candidate'))
  t.match(server, { traceId: TRACE_ID, parentSpanId: '00f067aa0ba902b7', kind: SERVER })
  t.match(attempt, { traceId: TRACE_ID, parentSpanId: server.spanId, kind: CLIENT })
  t.same(seen, [traceparentOf(attempt)])
  t.match(server.attributes, {
    'http.request.method': 'POST',
    'http.route': '/food',
    'http.response.status_code': 200,
    'url.path': '/food/predict',
    'server.address': '127.0.0.1',
    'server.port': worker.port,
    'client.address': '127.0.0.1',
    'weir.route': 'food11',
    'weir.variant': 'candidate',
    'weir.assignment': 'split',
    'weir.policy_version': 1,
  })
  t.match(attempt.attributes, {
    'server.port': Number(new URL(url).port),
    'http.response.status_code': 200,
    'weir.attempt.kind': 'split',
    'weir.attempt.outcome': 'success',
  })
  t.notOk(server.attributes['weir.fallback'])
})

test('a fallback is a second attempt beside the first, and says so on the request', async t => {
  const collector = await startCollector(t)
  const [failing, stable] = [await listeningUpstream(t, 500), await listeningUpstream(t, 200)]
  const worker = await startWorker(t, [twoVariants(stable.url, failing.url)], {
    traces: { url: collector.url, ...ALL },
  })
  await worker.send({ headers: CALLER })
  await worker.worker.close()
  const server = one(collector.named('GET /'))
  const first = one(collector.named('split candidate'))
  const second = one(collector.named('fallback stable'))
  t.same([first.parentSpanId, second.parentSpanId], [server.spanId, server.spanId])
  t.same([...failing.seen, ...stable.seen], [traceparentOf(first), traceparentOf(second)])
  t.match(first.attributes, {
    'weir.attempt.outcome': 'failure',
    'weir.attempt.reason': '5xx',
    'error.type': '5xx',
    'http.response.status_code': 500,
  })
  t.equal(first.status.code, ERROR)
  t.match(server.attributes, { 'weir.variant': 'stable', 'weir.fallback': 'candidate' })
  t.not(server.status.code, ERROR, 'the client saw a success')
})

test("a caller's decision not to sample holds, and its traceparent passes as it came", async t => {
  const collector = await startCollector(t)
  const { url, seen } = await listeningUpstream(t, 200)
  const worker = await startWorker(t, [twoVariants(url, url)], { traces: { url: collector.url, ...ALL } })
  const unsampled = { traceparent: CALLER.traceparent.replace(/01$/, '00') }
  await worker.send({ headers: unsampled })
  await worker.send({ path: '/sampled' })
  await worker.worker.close()
  t.same(seen[0], unsampled.traceparent)
  const server = one(collector.named('GET /'))
  t.equal(collector.spans.length, 2)
  t.match(server.attributes, { 'url.path': '/sampled' })
  t.notOk(server.parentSpanId, 'without a caller the trace begins here')
  t.same(seen[1], traceparentOf(one(collector.named('split candidate'))))
})

test('the sampler decides about requests without a decision, and about all when it does not ask the caller', async t => {
  const collector = await startCollector(t)
  const { url, seen } = await listeningUpstream(t, 200)
  const routes = [twoVariants(url, url)]
  const onCall = await startWorker(t, routes, { traces: { url: collector.url, parentBased: true, ratio: 0 } })
  const never = await startWorker(t, routes, { traces: { url: collector.url, parentBased: false, ratio: 0 } })
  await never.send({ headers: CALLER })
  await onCall.send()
  await onCall.send({ headers: CALLER })
  await Promise.all([never.worker.close(), onCall.worker.close()])
  t.equal(collector.spans.length, 2)
  t.equal(one(collector.named('GET /')).traceId, TRACE_ID)
  t.equal(seen[0], CALLER.traceparent)
  t.match(seen[1], /-00$/)
})

test('a refused request and one whose client goes away have their spans, too', async t => {
  const collector = await startCollector(t)
  let arrived = 0
  const { url } = await upstream(t, () => void arrived++)
  const worker = await startWorker(
    t,
    [twoVariants(url, url, { match: { pathPrefix: '/food' }, timeoutMs: 30_000 })],
    { traces: { url: collector.url, ...ALL } },
  )
  await worker.send({ path: '/elsewhere' })
  const client = connect(worker.port, '127.0.0.1', () =>
    client.write('GET /food HTTP/1.1\r\nhost: x\r\n\r\n'),
  )
  t.ok(await eventually(() => arrived === 1))
  client.destroy()
  t.ok(await collector.received(3))
  t.match(one(collector.named('GET')).attributes, { 'http.response.status_code': 404 })
  t.match(one(collector.named('GET /food')).attributes, { 'http.response.status_code': 499 })
  t.match(one(collector.named('split candidate')).attributes, { 'weir.attempt.outcome': 'dropped' })
})

test('a mirrored copy is a span of its own, linked to the attempt whose answer it is held against', async t => {
  const collector = await startCollector(t)
  const shadow = await listeningUpstream(t, 200, JSON.stringify(PREDICTION))
  const live = await listeningUpstream(t, 200, JSON.stringify(PREDICTION))
  const settings = {
    weights: { stable: 100, candidate: 0 },
    fallback: undefined,
    mirror: { to: 'candidate', percent: 100 },
  }
  const worker = await startWorker(t, [twoVariants(live.url, shadow.url, settings)], {
    traces: { url: collector.url, ...ALL },
  })
  await worker.send({ method: 'POST', body: 'x' })
  t.ok(await collector.received(3))
  const copy = one(collector.named('mirror candidate'))
  t.equal(copy.parentSpanId, one(collector.named('POST /')).spanId)
  t.same(copy.links, [{ spanId: one(collector.named('split stable')).spanId }])
  t.same(shadow.seen, [traceparentOf(copy)])
})

test('a dead collector harms no request; the log says so once, and once that it is back', async t => {
  const answers = [400, 400, 200]
  const collector = await startCollector(t, {
    answer: response => response.writeHead(answers.shift() ?? 200).end('{}'),
  })
  const { log, lines } = keepLines('info')
  const url = await namedUpstream(t, 'stable')
  const dead = await startWorker(t, [twoVariants(url, url)], {
    traces: { url: 'http://127.0.0.1:1', ...ALL },
    log,
  })
  const answered = await Promise.all(Array.from({ length: 100 }, () => dead.send()))
  t.same(
    answered.filter(({ status }) => status !== 200),
    [],
  )
  t.ok(
    await eventually(async () => (await dead.total('weir_trace_spans_total', { result: 'failed' })) === 200),
  )
  t.same(
    lines.map(({ msg }) => msg),
    ['traces are lost'],
  )
  t.match(lines[0], { collector: '127.0.0.1:1' })

  const flaky = await startWorker(t, [twoVariants(url, url)], { traces: { url: collector.url, ...ALL }, log })
  lines.length = 0
  for (let batch = 1; batch <= 3; batch++) {
    await flaky.send()
    t.ok(await eventually(() => collector.requests.length === batch))
  }
  t.ok(await eventually(() => lines.length === 2))
  t.same(
    lines.map(({ msg }) => msg),
    ['traces are lost', 'traces arrive again'],
  )
  t.equal(await flaky.total('weir_trace_spans_total', { result: 'failed' }), 4)
  t.equal(await flaky.total('weir_trace_spans_total', { result: 'exported' }), 2)
})

test('a collector that hangs fills a bounded queue, and what does not fit is counted', async t => {
  const collector = await startCollector(t, { answer: () => undefined })
  const { log, lines } = keepLines()
  const counters = createCounters()
  const queue = createSpanQueue({ url: collector.url, log, counters })
  const tracer = new TracerProvider({ spanProcessors: [queue] }).getTracer('test')
  for (let span = 0; span < 3000; span++) tracer.startSpan('span').end()
  t.match(counters.take().counters, [['weir_trace_spans_total{result="dropped"}', 3000 - 2048 - 64]])
  t.match(lines, [{ msg: 'traces are lost', reason: 'the queue is full' }])
  await t.rejects(queue.shutdown(), 'the collector took nothing')
})

test('what a hanging collector does not take in time is given up at the end', async t => {
  process.env['OTEL_EXPORTER_OTLP_TIMEOUT'] = '5000'
  t.teardown(() => {
    process.env['OTEL_EXPORTER_OTLP_TIMEOUT'] = '200'
  })
  const collector = await startCollector(t, { answer: () => undefined })
  const { log, lines } = keepLines()
  const url = await namedUpstream(t, 'stable')
  const worker = await startWorker(t, [twoVariants(url, url)], {
    traces: { url: collector.url, ...ALL },
    log,
  })
  await worker.send()
  await worker.worker.close()
  t.match(lines, [{ msg: 'the last traces could not be sent in time' }])
})
