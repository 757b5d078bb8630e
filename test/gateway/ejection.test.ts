import { test } from 'tap'
import { routePolicy } from '../../contract/policy.ts'
import { createEndpoints } from '../../gateway/primary/endpoints.ts'
import { endpointKey } from '../../gateway/messages.ts'

const KEY = endpointKey('food11', 'candidate', 'http://127.0.0.1:1')

function watchedEndpoint(settings: object = {}) {
  const policy = routePolicy.parse({
    name: 'food11',
    variants: { candidate: { endpoints: ['http://127.0.0.1:1'] } },
    weights: { candidate: 100 },
    probe: { enabled: false },
    ...settings,
  })
  let now = 1_000_000
  let healthy = true
  const states: string[] = []
  const endpoints = createEndpoints({
    clock: { now: () => now, sleep: async () => undefined },
    probe: async () => healthy,
    onChange: changes => states.push(...changes.map(([, state]) => state)),
  })
  endpoints.follow(policy.name, policy)
  return {
    states,
    endpoints,
    fail: (failures: number, answered = false) => endpoints.report([{ key: KEY, failures, answered }]),
    answer: () => endpoints.report([{ key: KEY, failures: 0, answered: true }]),
    pass(ms: number) {
      now += ms
      endpoints.tick()
    },
    async probe(ok: boolean) {
      healthy = ok
      now += 10_000
      endpoints.tick()
      await new Promise(resolve => setImmediate(resolve))
    },
    state: () => endpoints.list()[0]?.state,
  }
}

test('five failures in a row put an endpoint out; an answer between them begins the row anew', async t => {
  const { fail, answer, state } = watchedEndpoint()
  fail(4)
  answer()
  fail(4)
  t.equal(state(), 'up')
  fail(1)
  t.equal(state(), 'out')
})

test('after 10 s one request at a time decides: good, it is back; bad, it is out for 20 s', async t => {
  const { fail, answer, pass, state, states } = watchedEndpoint()
  fail(5)
  pass(9_999)
  t.equal(state(), 'out')
  pass(1)
  t.equal(state(), 'trial')
  fail(1)
  pass(19_999)
  t.equal(state(), 'out')
  pass(1)
  answer()
  t.equal(state(), 'up')
  fail(5)
  pass(10_000)
  t.equal(state(), 'trial', 'having been back, it is out for 10 s again')
  t.same(states, ['out', 'trial', 'out', 'trial', 'up', 'out', 'trial'])
})

test('an ejection never lasts longer than its limit', async t => {
  const { fail, pass, state } = watchedEndpoint({ ejection: { baseMs: 10_000, maxMs: 15_000 } })
  fail(5)
  pass(10_000)
  fail(1)
  pass(15_000)
  t.equal(state(), 'trial')
})

test('answers of requests that were under way when it was ejected do not bring it back', async t => {
  const { fail, answer, state } = watchedEndpoint()
  fail(5)
  answer()
  t.equal(state(), 'out')
})

test('a probe that fails three times takes an endpoint out, one that succeeds brings it back', async t => {
  const { probe, state } = watchedEndpoint({ probe: { enabled: true } })
  await probe(true)
  for (let n = 0; n < 2; n++) await probe(false)
  t.equal(state(), 'up')
  await probe(false)
  t.equal(state(), 'out')
  await probe(true)
  t.equal(state(), 'up')
})

test('an endpoint that many routes name is probed once for all, and every endpoint gets its turn', async t => {
  const probed: string[] = []
  let now = 1_000_000
  const endpoints = createEndpoints({
    clock: { now: () => now, sleep: async () => undefined },
    onChange: () => undefined,
    async probe(url) {
      probed.push(url)
      return true
    },
  })
  const route = (name: string, endpoint: string) =>
    routePolicy.parse({ name, variants: { stable: { endpoints: [endpoint] } }, weights: { stable: 100 } })
  for (let index = 0; index < 100; index++)
    endpoints.follow(`same-${index}`, route(`same-${index}`, 'http://127.0.0.1:1'))
  endpoints.tick()
  await new Promise(resolve => setImmediate(resolve))
  t.same(probed, ['http://127.0.0.1:1/readyz'])
  t.ok(
    endpoints.list().every(({ everHealthy }) => everHealthy),
    'the answer counts for all of them',
  )

  for (let port = 2; port < 1000; port++)
    endpoints.follow(`own-${port}`, route(`own-${port}`, `http://127.0.0.1:${port}`))
  for (let tick = 0; tick < 20; tick++) {
    now += 10_000 // all are due at every tick, more than can be probed at once
    endpoints.tick()
    await new Promise(resolve => setImmediate(resolve))
  }
  t.equal(new Set(probed).size, 999)
  endpoints.follow('own-2', undefined)
  t.notOk(
    endpoints.list().some(({ route }) => route === 'own-2'),
    'a route that went is forgotten',
  )
})
