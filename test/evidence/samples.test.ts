import t from 'tap'
import { samplesToSeries } from '../../controller/evidence/samples.ts'
import { parseExposition } from '../../lib/exposition.ts'

const read = (lines: readonly string[], route = 'food11') =>
  samplesToSeries(parseExposition(lines.join('\n')), { route, idOf: labels => labels['instance'] ?? 'gw-0' })

const requests = (outcome: string, count: number | string, rest = '') =>
  `weir_requests_total{route="food11",variant="stable",kind="split",outcome="${outcome}",reason=""${rest}} ${count}`

t.test('requests are successes, client errors and failures of every reason', t => {
  const series = read([
    requests('success', 90),
    requests('client_error', 6),
    'weir_requests_total{route="food11",variant="stable",kind="split",outcome="failure",reason="5xx"} 3',
    'weir_requests_total{route="food11",variant="stable",kind="split",outcome="failure",reason="timeout"} 1',
  ])
  t.same(series, [{ id: 'gw-0', variant: 'stable', requests: 100, failures: 4, clientErrors: 6 }])
  t.end()
})

t.test('what the client gave up is neither a request nor a failure of the variant', t => {
  const [series] = read([requests('success', 90), requests('dropped', 7)])
  t.match(series, { requests: 90, failures: 0, clientErrors: 0 })
  t.end()
})

t.test('only what the split or a sticky key assigned counts', t => {
  const [series] = read([
    requests('success', 90),
    ...['override', 'retry', 'fallback', 'hedge', 'mirror'].map(kind =>
      requests('failure', 5).replace('"split"', `"${kind}"`),
    ),
  ])
  t.match(series, { requests: 90, failures: 0 })
  t.end()
})

t.test('other routes and other metrics are left aside, and a variant without samples is absent', t => {
  const lines = [requests('success', 90).replace('food11', 'other'), 'process_cpu_seconds_total 12.5']
  t.same(read(lines), [])
  t.same(
    read([...lines, requests('success', 1)]).map(series => series.variant),
    ['stable'],
  )
  t.end()
})

t.test('what was assigned and what ended in any way are told where the gateway counts it', t => {
  const assigned = 'weir_assigned_total{route="food11",variant="stable"} 100'
  t.match(read([assigned, requests('success', 90), requests('dropped', 7)]), [
    { requests: 90, assigned: 100, completed: 97 },
  ])
  t.match(read([assigned]), [{ variant: 'stable', requests: 0, assigned: 100, completed: 0 }], 'it may hang')
  t.end()
})

t.test('buckets come in the order of their bounds, whatever order they were read in', t => {
  const bucket = (le: string, count: number) =>
    `weir_request_duration_seconds_bucket{route="food11",variant="stable",le="${le}"} ${count}`
  const [series] = read([requests('success', 9), bucket('+Inf', 9), bucket('0.1', 7), bucket('0.05', 2)])
  t.same(series?.buckets, [
    [0.05, 2],
    [0.1, 7],
    ['+Inf', 9],
  ])
  t.end()
})

t.test('a NaN among the counters is null', t => {
  const [series] = read([requests('success', 'NaN'), requests('failure', 2)])
  t.match(series, { requests: null, failures: 2 })
  t.end()
})

t.test('a gateway that two jobs scrape is counted once', t => {
  const [series] = read([
    requests('success', 100, ',job="a",instance="gw-0"'),
    requests('success', 103, ',job="b",instance="gw-0"'),
  ])
  t.match(series, { id: 'gw-0', requests: 103 })
  t.end()
})
