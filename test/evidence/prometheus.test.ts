import type { RequestListener } from 'node:http'
import t from 'tap'
import { createPrometheus } from '../../controller/evidence/prometheus.ts'
import { parseExposition, type Sample } from '../../lib/exposition.ts'
import { exposition, listen } from './fake-gateway.ts'

const NOW = 1_700_000_000.25
const samples = parseExposition(
  exposition([
    { variant: 'stable', success: 90, failure: 1 },
    { variant: 'candidate', success: 10 },
  ]),
)

interface Canned {
  readonly instance?: string
  readonly ageSeconds?: number
  readonly value?: (sample: Sample) => string
}

/** Answers the four instant queries as Prometheus does. `asked` gathers them. */
function prometheus(canned: readonly Canned[], asked: URLSearchParams[] = []): RequestListener {
  return (request, response) => {
    const parameters = new URL(request.url ?? '/', 'http://prometheus').searchParams
    asked.push(parameters)
    const query = parameters.get('query') ?? ''
    const result = canned.flatMap(source => vector(query, source))
    response.end(JSON.stringify({ status: 'success', data: { resultType: 'vector', result } }))
  }
}

function vector(query: string, { instance = 'gw-0:8081', ageSeconds = 1, value }: Canned) {
  const [, timestamp, name] = /^(timestamp\()?(\w+)\{/.exec(query) ?? []
  return samples
    .filter(sample => sample.name === name)
    .map(sample => ({
      metric: { ...(timestamp ? {} : { __name__: sample.name }), ...sample.labels, instance },
      value: [NOW, timestamp ? String(NOW - ageSeconds) : (value?.(sample) ?? String(sample.value))],
    }))
}

t.test('raw counters are asked for at one evaluation time, that of the server', async t => {
  const asked: URLSearchParams[] = []
  const baseUrl = await listen(t, prometheus([{}], asked))
  const result = await createPrometheus({ baseUrl }).look('food11')
  t.same(asked.map(parameters => parameters.get('query')).sort(), [
    'timestamp(weir_requests_total{route="food11",kind="split"})',
    'weir_assigned_total{route="food11"}',
    'weir_request_duration_seconds_bucket{route="food11"}',
    'weir_requests_total{route="food11",kind="split"}',
  ])
  t.same(
    asked.map(parameters => parameters.get('time')),
    [null, String(NOW), String(NOW), String(NOW)],
  )
  t.match(result, {
    kind: 'look',
    look: {
      series: [
        {
          id: 'gw-0:8081',
          variant: 'stable',
          requests: 91,
          failures: 1,
          buckets: [
            [0.05, 45],
            [0.1, 91],
            ['+Inf', 91],
          ],
        },
        { id: 'gw-0:8081', variant: 'candidate', requests: 10, failures: 0 },
      ],
    },
  })
})

t.test('the time of a look is ours, whatever the server thinks the time is', async t => {
  const baseUrl = await listen(t, prometheus([{}]))
  const clock = { now: () => 5000, sleep: async () => {} }
  const result = await createPrometheus({ baseUrl, clock }).look('food11')
  t.match(result, { look: { t: 5 } })
})

t.test('a server under a path prefix is asked there', async t => {
  const paths: string[] = []
  const baseUrl = await listen(t, (request, response) => {
    paths.push(request.url?.split('?')[0] ?? '')
    prometheus([{}])(request, response)
  })
  await createPrometheus({ baseUrl: `${baseUrl}/prom/` }).look('food11')
  t.same(new Set(paths), new Set(['/prom/api/v1/query']))
})

t.test('an instance that was last scraped long ago is left out, and the look says so', async t => {
  const baseUrl = await listen(t, prometheus([{}, { instance: 'gw-1:8081', ageSeconds: 200 }]))
  const result = await createPrometheus({ baseUrl }).look('food11')
  t.match(result, { look: { series: [{ id: 'gw-0:8081' }, { id: 'gw-0:8081' }] }, warnings: [/^gw-1:8081/] })
})

t.test('when every instance was last scraped long ago there is no data', async t => {
  const baseUrl = await listen(t, prometheus([{ ageSeconds: 200 }]))
  const result = await createPrometheus({ baseUrl }).look('food11')
  t.match(result, { kind: 'no-data', reason: /last scraped over 120 s ago/ })
})

t.test('NaN is passed on as null, for the judge to leave aside', async t => {
  const baseUrl = await listen(t, prometheus([{ value: () => 'NaN' }]))
  const result = await createPrometheus({ baseUrl }).look('food11')
  t.match(result, { kind: 'look', look: { series: [{ requests: null }, { requests: null }] } })
})

const faults = {
  'knows no requests': { reason: /knows no requests to route food11/, handler: prometheus([]) },
  'refuses the query': {
    reason: /answered 422/,
    handler: (_, response) => response.writeHead(422).end('{"status":"error","errorType":"execution"}'),
  },
  'answers HTML': { reason: /not an answer of Prometheus/, handler: (_, response) => response.end('<html>') },
  'answers another shape': {
    reason: /not an answer of Prometheus/,
    handler: (_, response) => response.end('{"status":"success","data":{"resultType":"matrix","result":[]}}'),
  },
  'does not answer in time': { reason: /did not answer within 200 ms/, handler: () => {} },
  'answers the first query alone': {
    reason: /answered 503/,
    handler: (request, response) =>
      request.url?.includes('time=')
        ? response.writeHead(503).end('overloaded')
        : prometheus([{}])(request, response),
  },
} satisfies Record<string, { reason: RegExp; handler: RequestListener }>

for (const [fault, { reason, handler }] of Object.entries(faults)) {
  t.test(`a server that ${fault} is no data`, async t => {
    const baseUrl = await listen(t, handler)
    const result = await createPrometheus({ baseUrl, timeoutMs: 200 }).look('food11')
    t.match(result, { kind: 'no-data', reason })
  })
}
