import { test } from 'tap'
import { gatewayConfig, routePolicy } from '../../contract/policy.ts'
import { createRouteTable, type RequestFacts } from '../../gateway/worker/route-table.ts'
import { freePort } from '../../lib/ports.ts'
import { namedUpstream, send, startWorker, twoVariants, upstream } from './harness.ts'

function routeOf(name: string, match: object) {
  return routePolicy.parse({
    name,
    match,
    variants: { stable: { endpoints: ['http://127.0.0.1:1'] } },
    weights: { stable: 100 },
  })
}

const FACTS: RequestFacts = { port: 0, host: 'a.org', path: '/', method: 'GET', headers: {} }

test('the most specific route wins: host before path before method before headers', async t => {
  const table = createRouteTable([
    routeOf('all', {}),
    routeOf('food', { pathPrefix: '/food' }),
    routeOf('food-deep', { pathPrefix: '/food/deep/' }),
    routeOf('food-post', { pathPrefix: '/food', method: 'post' }),
    routeOf('food-german', { pathPrefix: '/food', headers: { 'Accept-Language': 'de' } }),
    routeOf('food-german-beta', {
      pathPrefix: '/food',
      headers: { 'accept-language': 'de', 'x-cohort': 'beta' },
    }),
    routeOf('host', { host: 'models.a.org' }),
    routeOf('wildcard', { host: '*.a.org', pathPrefix: '/food' }),
    routeOf('own-port', { port: 9000 }),
  ])
  const german = { 'accept-language': 'de' }
  const cases: [Partial<RequestFacts>, string | undefined][] = [
    [{}, 'all'],
    [{ path: '/foodie' }, 'all'],
    [{ path: '/food' }, 'food'],
    [{ path: '/food/x/y/z' }, 'food'],
    [{ path: '/food/deep' }, 'food-deep'],
    [{ path: '/food/deeper' }, 'food'],
    [{ path: '/food', method: 'POST' }, 'food-post'],
    [{ path: '/food', headers: german }, 'food-german'],
    [{ path: '/food', headers: { ...german, 'x-cohort': 'beta' } }, 'food-german-beta'],
    [{ path: '/food', method: 'POST', headers: german }, 'food-post'],
    [{ path: '/food', host: 'Models.A.org:8080' }, 'host'],
    [{ path: '/food', host: 'x.y.a.org' }, 'wildcard'],
    [{ path: '/', host: 'x.a.org' }, 'all'],
    [{ port: 9000, path: '/food' }, 'own-port'],
    [{ port: 9001 }, undefined],
  ]
  for (const [facts, name] of cases) t.equal(table.match({ ...FACTS, ...facts }), name, JSON.stringify(facts))
})

test('ten thousand routes are matched like one', async t => {
  const table = createRouteTable(
    Array.from({ length: 10_000 }, (_, n) => routeOf(`r${n}`, { pathPrefix: `/models/m${n}` })),
  )
  t.equal(table.match({ ...FACTS, path: '/models/m9999/predict' }), 'r9999')
  t.equal(table.match({ ...FACTS, path: `/${'a/'.repeat(4000)}` }), undefined)
})

test('two routes that take the same requests are refused', async t => {
  const route = (name: string, match: object) => ({
    name,
    match,
    variants: { a: { endpoints: [] } },
    weights: { a: 0 },
  })
  const refused = gatewayConfig.safeParse({
    routes: [route('a', { pathPrefix: '/x' }), route('b', { pathPrefix: '/x/' })],
  })
  t.match(refused.error?.issues[0]?.message, /"a" and "b" match the same requests/)
  t.ok(
    gatewayConfig.safeParse({
      routes: [route('a', { pathPrefix: '/x' }), route('b', { pathPrefix: '/x', method: 'GET' })],
    }).success,
  )
})

test('a port of its own gets a listener of its own, when a policy names it and as long as it does', async t => {
  const port = await freePort('127.0.0.1', 21_000 + (process.pid % 1000) * 10)
  const [main, own] = [await namedUpstream(t, 'main'), await namedUpstream(t, 'own')]
  const worker = await startWorker(t, [twoVariants(main, main)])
  const other = { ...twoVariants(own, own), name: 'other' }
  await worker.set({ ...other, match: { port } })
  t.match(await send(port), { status: 200, text: 'own' })
  t.match(await send(worker.port), { status: 200, text: 'main' })
  await worker.set({ ...other, match: { pathPrefix: '/other' } })
  t.match(await send(worker.port, { path: '/other' }), { text: 'own' })
  t.equal((await send(port)).status, 0)
})

test('what no route takes is 404, a closed route 503, an unknown variant 404', async t => {
  const url = await namedUpstream(t, 'stable')
  const worker = await startWorker(t, [
    twoVariants(url, url, { match: { pathPrefix: '/food' }, weights: { stable: 0, candidate: 0 } }),
  ])
  t.match(await worker.send({ path: '/nowhere' }), { status: 404, text: /"route_not_found"/ })
  t.match(await worker.send({ path: '/food' }), { status: 503, text: /"route_closed"/ })
  t.match(await worker.send({ path: '/food', headers: { 'x-weir-variant': 'nope' } }), {
    status: 404,
    text: /"variant_not_found".*food11 has no variant \\"nope\\"; it has stable, candidate/,
  })
  t.match(await worker.send({ path: '/food', headers: { 'x-weir-variant': 'candidate' } }), { status: 200 })
})

test('every method that Node knows is forwarded', async t => {
  const { url } = await upstream(t, (request, response) => void response.end(request.method))
  const worker = await startWorker(t, [twoVariants(url, url)])
  for (const method of ['PURGE', 'MKCOL', 'LOCK', 'SUBSCRIBE', 'PROPFIND', 'QUERY', 'OPTIONS'])
    t.match(await worker.send({ method }), { status: 200, text: method })
})

test('precedence: an allowed override, then the sticky key, then the split', async t => {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  const settings = { weights: { stable: 50, candidate: 50 }, sticky: { header: 'X-User-Id' } }
  const worker = await startWorker(t, [twoVariants(stable, candidate, settings)])
  const user = { 'x-user-id': 'user-7' }
  const pinned = (await worker.send({ headers: user })).text
  for (let n = 0; n < 10; n++) t.equal((await worker.send({ headers: user })).text, pinned)
  const other = pinned === 'stable' ? 'candidate' : 'stable'
  t.equal((await worker.send({ headers: { ...user, 'x-weir-variant': other } })).text, other)
  const dealt = [await worker.send(), await worker.send(), await worker.send(), await worker.send()].map(
    ({ text }) => text,
  )
  t.same(dealt.toSorted(), ['candidate', 'candidate', 'stable', 'stable'])
  t.equal(await worker.total('weir_requests_total', { kind: 'override' }), 1)
})

test('an override by somebody who may not is ignored', async t => {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  const settings = { weights: { stable: 100, candidate: 0 }, override: { from: ['10.0.0.0/8'] } }
  const worker = await startWorker(t, [twoVariants(stable, candidate, settings)])
  t.equal((await worker.send({ headers: { 'x-weir-variant': 'candidate' } })).text, 'stable')
  t.equal((await worker.send({ headers: { 'x-weir-variant': 'nope' } })).status, 200)
})

test('a sticky cookie is set when absent, and kept to', async t => {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  const settings = { weights: { stable: 50, candidate: 50 }, sticky: { cookie: 'weir_user' } }
  const worker = await startWorker(t, [twoVariants(stable, candidate, settings)])
  const first = await worker.send()
  const [set = ''] = first.headers['set-cookie'] ?? []
  t.match(set, /^weir_user=[\w-]+; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/)
  for (let n = 0; n < 8; n++) {
    const again = await worker.send({ headers: { cookie: `a=b; ${set.split(';')[0]}` } })
    t.equal(again.text, first.text)
    t.notOk(again.headers['set-cookie'])
  }
})

test('every swap is in force at once, and a request goes by one policy to its end', async t => {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  const worker = await startWorker(t, [twoVariants(stable, candidate)])
  for (let n = 0; n < 20; n++) {
    const toStable = n % 2 === 0
    await worker.set(
      twoVariants(stable, candidate, {
        weights: { stable: toStable ? 100 : 0, candidate: toStable ? 0 : 100 },
      }),
    )
    t.equal((await worker.send()).text, toStable ? 'stable' : 'candidate')
  }
  t.equal(worker.acknowledged.length, 20)
})

test('a removed endpoint finishes what it has in flight', async t => {
  const [old, next] = [await namedUpstream(t, 'old'), await namedUpstream(t, 'next')]
  const worker = await startWorker(t, [twoVariants(old, old)])
  const running = Array.from({ length: 20 }, () => worker.send({ method: 'POST', body: 'x'.repeat(50_000) }))
  await worker.set(twoVariants(next, next))
  for (const { status } of await Promise.all(running)) t.equal(status, 200)
  t.equal((await worker.send()).text, 'next')
})
