import { test, type Test } from 'tap'
import { createPinning, unitHash } from '../../gateway/worker/sticky.ts'
import { namedUpstream, startWorker, twoVariants } from './harness.ts'

const GOLDEN_EMPTY = '0.370693256952'
const GOLDEN_USER = '0.726648776328'

const USERS = Array.from({ length: 20_000 }, (_, index) => `user-${index}`)

function deal(weights: Record<string, number>, salt = 'food11'): (string | undefined)[] {
  const shares = Object.entries(weights).map(([variant, weightBp]) => ({ variant, weightBp }))
  return USERS.map(createPinning(shares, salt))
}

function count(dealt: readonly (string | undefined)[], variant: string): number {
  return dealt.filter(name => name === variant).length
}

test('the hash never changes: every user would be dealt anew', async t => {
  t.equal(unitHash('').toFixed(12), GOLDEN_EMPTY)
  t.equal(unitHash('user-1').toFixed(12), GOLDEN_USER)
})

test('shares of users are the weights', async t => {
  const dealt = deal({ a: 6000, b: 3000, c: 1000 })
  t.ok(Math.abs(count(dealt, 'a') - 12_000) < 280)
  t.ok(Math.abs(count(dealt, 'b') - 6000) < 260)
  t.ok(Math.abs(count(dealt, 'c') - 2000) < 170)
})

test('raising a weight moves users to that variant only', async t => {
  const before = deal({ stable: 8000, candidate: 2000 })
  const after = deal({ stable: 5000, candidate: 5000 })
  t.notOk(before.some((variant, user) => variant === 'candidate' && after[user] !== 'candidate'))
})

test('a weight that grows at the cost of others takes users from them; hardly any move between those', async t => {
  const before = deal({ a: 6000, b: 3000, c: 1000 })
  const moved = (after: (string | undefined)[]) =>
    before.filter((variant, user) => variant !== 'c' && after[user] !== 'c' && variant !== after[user]).length
  t.equal(moved(deal({ a: 5400, b: 2700, c: 1900 })), 0, 'where the others shrink in proportion: none')
  const grown = deal({ a: 5000, b: 2000, c: 3000 })
  const share = moved(grown) / USERS.length
  t.ok(share > 0 && share < 0.035, `${share}`)
  t.notOk(
    before.some((variant, user) => variant === 'c' && grown[user] !== 'c'),
    'and whoever has it keeps it',
  )
})

test('the order in which variants are listed does not matter', async t => {
  t.same(deal({ candidate: 2000, stable: 8000 }), deal({ stable: 8000, candidate: 2000 }))
})

test('another salt deals other users', async t => {
  const [a, b] = [deal({ stable: 5000, candidate: 5000 }), deal({ stable: 5000, candidate: 5000 }, 'other')]
  const same = a.filter((variant, user) => variant === b[user]).length
  t.ok(Math.abs(same - 10_000) < 300, String(same))
})

const HALVES = { stable: 50, candidate: 50 }
const KEYS = Array.from({ length: 24 }, (_, n) => n + 1)

/** A worker with this stickiness, and what it answers to requests with these headers. */
async function stickyWorker(t: Test, settings: object) {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  const worker = await startWorker(t, [twoVariants(stable, candidate, { weights: HALVES, ...settings })])
  return (requests: readonly Record<string, string>[]) =>
    Promise.all(requests.map(async headers => (await worker.send({ headers })).text))
}

const BY_USER = KEYS.map(n => ({ 'x-user-id': `user-${n}` }))

test('every worker and every replica agrees, and after a restart', async t => {
  const sticky = { header: 'x-user-id' }
  const [one, other] = [await stickyWorker(t, { sticky }), await stickyWorker(t, { sticky })]
  const dealt = await one(BY_USER)
  t.same([...new Set(dealt)].toSorted(), ['candidate', 'stable'])
  t.same(await other(BY_USER), dealt)
  t.same(await other(BY_USER.toReversed()), dealt.toReversed())
})

test('a salt of its own deals users anew; by default it is the name of the route', async t => {
  const dealt = async (settings: object) => (await stickyWorker(t, settings))(BY_USER)
  const byName = await dealt({ sticky: { header: 'x-user-id' } })
  t.same(await dealt({ sticky: { header: 'x-user-id', salt: 'food11' } }), byName)
  t.notSame(await dealt({ sticky: { header: 'x-user-id', salt: 'another rollout' } }), byName)
  t.notSame(await dealt({ name: 'drinks', sticky: { header: 'x-user-id' } }), byName)
})

test('the same key is worth the same in a header and in a cookie', async t => {
  const byHeader = await stickyWorker(t, { sticky: { header: 'x-user-id' } })
  const byCookie = await stickyWorker(t, { sticky: { cookie: 'weir_user' } })
  t.same(
    await byCookie(KEYS.map(n => ({ cookie: `theme=dark; weir_user=user-${n}; a=b` }))),
    await byHeader(BY_USER),
  )
})

test('by client address: of the client behind trusted proxies, never one that the client made up', async t => {
  const sticky = { clientAddress: true }
  const trustedProxies = ['127.0.0.0/8', '10.0.0.0/8']
  const forwarded = (list: (n: number) => string) => KEYS.map(n => ({ 'x-forwarded-for': list(n) }))
  const trusting = await stickyWorker(t, { sticky, trustedProxies })
  const dealt = await trusting(forwarded(n => `203.0.113.${n}`))
  t.same([...new Set(dealt)].toSorted(), ['candidate', 'stable'])
  t.same(await trusting(forwarded(n => `203.0.113.${n}, 10.1.2.3`)), dealt, 'our own proxies do not count')
  t.same(
    await trusting(forwarded(n => `198.51.100.7, 203.0.113.${n}`)),
    dealt,
    'nor what a client puts in front',
  )
  t.equal(new Set(await trusting(forwarded(n => `198.51.100.${n}, 203.0.113.1`))).size, 1)
  const distrusting = await stickyWorker(t, { sticky })
  t.equal(new Set(await distrusting(forwarded(n => `203.0.113.${n}`))).size, 1, 'all come from one address')
})
