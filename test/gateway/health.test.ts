import { test, type Test } from 'tap'
import { freePort } from '../../lib/ports.ts'
import { startGateway } from './gateway-process.ts'
import { eventually, namedUpstream, send, twoVariants, upstream } from './harness.ts'

// Ejection and probes through the whole gateway: workers report, the primary judges, every worker acts on it.

type Gateway = Awaited<ReturnType<typeof startGateway>>

async function stateOf(gateway: Gateway, route: string): Promise<string | undefined> {
  const { endpoints } = await gateway.client.status(route)
  return endpoints.find(({ variant }) => variant === 'candidate')?.state
}

/** A candidate that fails or not, on a route that never probes it. */
async function failingCandidate(t: Test, route: string, baseMs: number) {
  const seen = { asked: 0, failing: true }
  const { url } = await upstream(t, (_, response) => {
    seen.asked++
    response.writeHead(seen.failing ? 500 : 200).end('candidate')
  })
  const stable = await namedUpstream(t, 'stable')
  const policy = {
    ...twoVariants(stable, url, { probe: { enabled: false }, ejection: { baseMs } }),
    name: route,
    match: { pathPrefix: `/${route}` },
  }
  return { gateway: await startGateway(t, [policy], { workers: 2 }), seen }
}

test('ejection ends fallback: after five failures the candidate is out in every worker, its share goes to stable at once, and this is visible', async t => {
  const { gateway, seen } = await failingCandidate(t, 'food11', 60_000)
  const ask = () => send(gateway.port, { path: '/food11' })
  for (let n = 0; n < 10; n++) t.match(await ask(), { status: 200, text: 'stable' })
  t.ok(seen.asked >= 5 && seen.asked <= 10, `asked ${seen.asked} times`)
  t.ok(await eventually(async () => (await stateOf(gateway, 'food11')) === 'out'))
  t.equal(await gateway.total('weir_endpoint_up', { variant: 'candidate' }), 0)
  t.equal(await gateway.client.readyz(), true, 'the route has stable')

  const before = seen.asked
  seen.failing = false
  const answers = await Promise.all(Array.from({ length: 20 }, ask))
  t.same([...new Set(answers.map(({ text }) => text))], ['stable'])
  t.same([...new Set(answers.map(({ headers }) => headers['x-weir-fallback']))], ['candidate'])
  t.equal(seen.asked, before, 'it is left alone')
})

test('an ejected endpoint comes back by a trial after its time', async t => {
  const { gateway, seen } = await failingCandidate(t, 'quick', 100)
  const ask = async () => (await send(gateway.port, { path: '/quick' })).text
  for (let n = 0; n < 10; n++) t.equal(await ask(), 'stable')
  t.ok(await eventually(async () => (await stateOf(gateway, 'quick')) !== 'up'))
  seen.failing = false
  const isBack = async () => (await ask()) === 'candidate' && (await stateOf(gateway, 'quick')) === 'up'
  t.ok(await eventually(isBack, 20_000))
  t.equal(await gateway.total('weir_endpoint_up', { variant: 'candidate' }), 1)
})

test('an active probe takes an endpoint out and brings it back, without a request', async t => {
  let healthy = true
  const candidate = await upstream(t, (request, response) => {
    response.writeHead(request.url === '/readyz' && !healthy ? 503 : 200).end('candidate')
  })
  const probe = { intervalMs: 50, timeoutMs: 10_000, unhealthyAfter: 2 }
  const gateway = await startGateway(t, [
    twoVariants(await namedUpstream(t, 'stable'), candidate.url, { probe }),
  ])
  const isUp = (up: number) => async () =>
    (await gateway.total('weir_endpoint_up', { variant: 'candidate' })) === up
  t.match(await send(gateway.port), { text: 'candidate' })
  healthy = false
  t.ok(await eventually(isUp(0)))
  t.match(await gateway.client.status('food11'), { endpoints: [{}, { state: 'out', reason: /probe/ }] })
  t.match(await send(gateway.port), { text: 'stable', headers: { 'x-weir-fallback': 'candidate' } })
  healthy = true
  t.ok(await eventually(isUp(1)))
  t.match(await send(gateway.port), { text: 'candidate' })
})

test('readiness is false while a route has no healthy endpoint, at both ports, and names the route', async t => {
  let healthy = true
  const { url } = await upstream(t, (_, response) => void response.writeHead(healthy ? 200 : 500).end('ok'))
  const probe = { intervalMs: 50, timeoutMs: 10_000, unhealthyAfter: 2 }
  const gateway = await startGateway(t, [twoVariants(url, url, { probe })])
  const readyz = () => send(gateway.port, { path: '/readyz' })
  t.match(await readyz(), { status: 200 })
  healthy = false
  t.ok(await eventually(async () => (await readyz()).status === 503))
  t.match(await readyz(), { text: /route food11 has no healthy endpoint/ })
  t.equal(await gateway.client.readyz(), false)
  t.match(await send(gateway.port, { path: '/livez' }), { status: 200 }, 'it lives all the same')
  healthy = true
  t.ok(await eventually(async () => (await readyz()).status === 200))
})

test('a version under test on a port of its own takes nobody else’s traffic away when it fails', async t => {
  let healthy = true
  const broken = await upstream(t, (_, response) => void response.writeHead(healthy ? 200 : 500).end('ok'))
  const good = await namedUpstream(t, 'stable')
  const probe = { intervalMs: 50, timeoutMs: 10_000, unhealthyAfter: 2 }
  const staging = {
    name: 'food11-staging',
    match: { port: await freePort('127.0.0.1', 24_300) },
    variants: { staging: { endpoints: [broken.url] } },
    weights: { staging: 100 },
    probe,
  }
  const gateway = await startGateway(t, [twoVariants(good, good), staging])
  healthy = false
  t.ok(
    await eventually(async () => {
      const { endpoints } = await gateway.client.status('food11-staging')
      return endpoints[0]?.state === 'out'
    }),
  )
  t.match(await send(gateway.port, { path: '/readyz' }), { status: 200 })
})
