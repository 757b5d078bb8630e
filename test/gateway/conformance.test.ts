import { test, type Test } from 'tap'
import { startGateway } from './gateway-process.ts'
import {
  eventually,
  namedUpstream,
  send,
  startWorker,
  twoVariants,
  upstream,
  type SendOptions,
} from './harness.ts'

// What the conformance tests of the Gateway API ask of a split and of a mirror, and what users of other gateways found missing.

const REQUESTS = 500
const AT_ONCE = 10

/** So many requests, ten at a time; resolves with how many each variant answered. */
async function dealt(port: number, options: SendOptions): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  let sent = 0
  const sender = async () => {
    while (sent++ < REQUESTS) {
      const { status, text } = await send(port, options)
      if (status !== 200) throw new Error(`${status} ${text}`)
      counts[text] = (counts[text] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, sender))
  return counts
}

async function countingShadow(t: Test) {
  const seen: (string | undefined)[] = []
  const { url } = await upstream(t, (request, response) => {
    if (request.headers['x-weir-shadow'] === '1') seen.push(request.url)
    response.end()
  })
  return { url, seen }
}

const PERCENTS = [20, 50, 35]

test('Gateway API: weights 70/30/0 over 500 requests at 10 concurrent within 0.05; mirrors of 20, 50 and 35 % over 500 within 5 %', async t => {
  const endpoints = async (name: string) => ({ endpoints: [await namedUpstream(t, name)] })
  const shadow = await countingShadow(t)
  const stable = await endpoints('stable')
  const split = {
    name: 'split',
    match: { pathPrefix: '/split' },
    variants: {
      first: await endpoints('first'),
      second: await endpoints('second'),
      third: await endpoints('third'),
    },
    weights: { first: 70, second: 30, third: 0 },
    contract: 'none',
  }
  const mirrored = PERCENTS.map(percent => ({
    name: `mirror-${percent}`,
    match: { pathPrefix: `/mirror-${percent}` },
    variants: { stable, shadow: { endpoints: [shadow.url] } },
    weights: { stable: 100 },
    mirror: { to: 'shadow', percent, maxInFlight: 1000 },
    contract: 'none',
  }))
  const gateway = await startGateway(t, [split, ...mirrored], { workers: 2 })

  const { first = 0, second = 0, third } = await dealt(gateway.port, { path: '/split' })
  t.ok(Math.abs(first / REQUESTS - 0.7) <= 0.05, `first: ${first}`)
  t.ok(Math.abs(second / REQUESTS - 0.3) <= 0.05, `second: ${second}`)
  t.equal(third, undefined)

  for (const percent of PERCENTS) {
    const path = `/mirror-${percent}`
    t.same(await dealt(gateway.port, { path }), { stable: REQUESTS }, 'the client sees the live answers')
    const copies = () => shadow.seen.filter(url => url === path).length
    const sent = await gateway.total('weir_mirror_total', { route: path.slice(1), result: 'sent' })
    t.ok(await eventually(() => copies() === sent), 'what was sent arrives')
    const expected = (REQUESTS * percent) / 100
    t.ok(Math.abs(copies() - expected) <= 0.05 * expected, `${percent} %: ${copies()}`)
  }
})

test('a variant at weight 0 gets no request but those of an allowed override; an absent one neither', async t => {
  const [stable, zero, absent] = [
    await namedUpstream(t, 'stable'),
    await namedUpstream(t, 'zero'),
    await namedUpstream(t, 'absent'),
  ]
  const variants = {
    stable: { endpoints: [stable] },
    zero: { endpoints: [zero] },
    absent: { endpoints: [absent] },
  }
  const policy = { variants, weights: { stable: 100, zero: 0 }, sticky: { header: 'x-user-id' } }
  const worker = await startWorker(t, [twoVariants(stable, zero, policy)])
  for (let n = 0; n < 50; n++) {
    t.equal((await worker.send()).text, 'stable')
    t.equal((await worker.send({ headers: { 'x-user-id': `user-${n}` } })).text, 'stable')
  }
  for (const variant of ['zero', 'absent'])
    t.match(await worker.send({ headers: { 'x-weir-variant': variant } }), {
      text: variant,
      headers: { 'x-weir-variant': variant },
    })
  t.equal(await worker.total('weir_assigned_total', { variant: 'stable' }), 100)
  t.equal(await worker.total('weir_assigned_total'), 100, 'an override is no assignment')
})

test('weights of 0 close a route, they do not mean half and half', async t => {
  const url = await namedUpstream(t, 'stable')
  const worker = await startWorker(t, [twoVariants(url, url, { weights: { stable: 0, candidate: 0 } })])
  t.match(await worker.send(), { status: 503, text: /"route_closed".*weights sum to 0/ })
})

test('weights below one percent are dealt: 0.5 % is one of two hundred', async t => {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  const worker = await startWorker(t, [
    twoVariants(stable, candidate, { weights: { stable: 99.5, candidate: 0.5 } }),
  ])
  t.same(await dealt(worker.port, {}), { stable: 498, candidate: 2 })
})

test('stickiness keeps the configured ratio, however often users come back', async t => {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  const policy = { weights: { stable: 90, candidate: 10 }, sticky: { header: 'x-user-id' } }
  const worker = await startWorker(t, [twoVariants(stable, candidate, policy)])
  const users = Array.from({ length: 200 }, (_, n) => `user-${n}`)
  const round = () =>
    Promise.all(users.map(async user => (await worker.send({ headers: { 'x-user-id': user } })).text))
  const first = await round()
  const share = first.filter(text => text === 'candidate').length / users.length
  t.ok(Math.abs(share - 0.1) < 0.06, `${share}`)
  for (let n = 0; n < 3; n++) t.same(await round(), first)
})

test('sticky users follow a drained variant away and come back to it with its weight', async t => {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  const policy = (share: number) =>
    twoVariants(stable, candidate, {
      weights: { stable: 100 - share, candidate: share },
      sticky: { header: 'x-user-id' },
    })
  const worker = await startWorker(t, [policy(50)])
  const users = Array.from({ length: 40 }, (_, n) => `user-${n}`)
  const round = async () => {
    const texts: string[] = []
    for (const user of users) texts.push((await worker.send({ headers: { 'x-user-id': user } })).text)
    return texts
  }
  const before = await round()
  t.ok(before.includes('candidate'))
  await worker.set(policy(0))
  t.notOk((await round()).includes('candidate'))
  await worker.set(policy(50))
  t.same(await round(), before)
})
