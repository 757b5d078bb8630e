import type { RequestListener } from 'node:http'
import t from 'tap'
import { createGatewayScrape } from '../../controller/evidence/gateway-scrape.ts'
import { exposition, listen } from './fake-gateway.ts'

const both = [
  { variant: 'stable', success: 90, failure: 1 },
  { variant: 'candidate', success: 10 },
]
const at = (now: number) => ({ now: () => now, sleep: async () => {} })

t.test('a look has the counters of every gateway, each under its own name', async t => {
  const answer = (instance: string) =>
    listen(t, (request, response) => {
      t.equal(request.url, '/metrics?route=food11')
      response.setHeader('x-weir-instance', instance).end(exposition(both))
    })
  const baseUrls = [await answer('gw-0'), await answer('gw-1')]
  const result = await createGatewayScrape({ baseUrls, clock: at(42_500) }).look('food11')
  t.match(result, { kind: 'look', look: { t: 42.5 }, warnings: [] })
  t.same(
    result.kind === 'look' && result.look.series.map(series => [series.id, series.variant, series.requests]),
    [
      ['gw-0', 'stable', 91],
      ['gw-0', 'candidate', 10],
      ['gw-1', 'stable', 91],
      ['gw-1', 'candidate', 10],
    ],
  )
})

t.test('a gateway that does not say its name is known by its address', async t => {
  const url = await listen(t, (_, response) => response.end(exposition(both)))
  const result = await createGatewayScrape({ baseUrls: [url] }).look('food11')
  t.match(result, { look: { series: [{ id: url }, { id: url }] } })
})

t.test('a gateway that does not answer is left out, and the look says so', async t => {
  const up = await listen(t, (_, response) => response.end(exposition(both)))
  const down = await listen(t, (_, response) => response.writeHead(503).end('draining'))
  const result = await createGatewayScrape({ baseUrls: [up, down] }).look('food11')
  t.match(result, { kind: 'look', warnings: [`${down}: answered 503 draining`] })
})

const faults = {
  'answers an error': { reason: /answered 500/, handler: (_, response) => response.writeHead(500).end() },
  'answers something else': {
    reason: /not the exposition format, line 1/,
    handler: (_, response) => response.end('<html>\n'),
  },
  'breaks off in the middle': {
    reason: /./,
    handler: (_, response) => {
      response.writeHead(200, { 'content-length': '5000' })
      response.write(exposition(both), () => response.destroy())
    },
  },
  'does not answer in time': { reason: /did not answer within 200 ms/, handler: () => {} },
  'has not seen the route yet': {
    reason: /no requests to route food11/,
    handler: (_, response) => response.end(exposition(both, 'other')),
  },
} satisfies Record<string, { reason: RegExp; handler: RequestListener }>

for (const [fault, { reason, handler }] of Object.entries(faults)) {
  t.test(`a gateway that ${fault} is no data`, async t => {
    const url = await listen(t, handler)
    const result = await createGatewayScrape({ baseUrls: [url], timeoutMs: 200 }).look('food11')
    t.match(result, { kind: 'no-data', reason })
  })
}

t.test('a gateway that is not there is no data', async t => {
  const result = await createGatewayScrape({ baseUrls: ['http://127.0.0.1:1'] }).look('food11')
  t.match(result, { kind: 'no-data', reason: /127\.0\.0\.1:1/ })
})
