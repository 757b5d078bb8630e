import t from 'tap'
import { createEnvironmentStore } from '../../controller/lifecycle/environment-store.ts'
import { createMirroring } from '../../controller/lifecycle/mirroring.ts'
import { createRolloutService } from '../../controller/rollouts/rollout-service.ts'
import { provenInStaging, startEnvironmentWorld, startLifecycle } from './environment-world.ts'

// For copies of live requests the candidate's place is lent to what runs in staging, and given back whatever happens meanwhile.

type Test = Parameters<typeof startEnvironmentWorld>[0]

const ADA = { actor: 'ada' }
const ROUTE = 'food11'

async function begun(t: Test) {
  const world = await startEnvironmentWorld(t)
  const before = { to: 'candidate' as const, percent: 5 }
  world.gateway.write({ ...world.gateway.policy(ROUTE), mirror: before })
  const lifecycle = startLifecycle(t, world)
  for (const name of ['production', 'staging', 'canary'] as const) await lifecycle.settle(name)
  await provenInStaging(lifecycle, '2')
  const endpoints = lifecycle.environments.running('staging')?.endpoints ?? []
  const mirroringOf = (of: typeof lifecycle, clock = of.clock) =>
    createMirroring({ ...of, clock, environments: createEnvironmentStore(of.store, ROUTE), route: ROUTE })
  const lend = async () => mirroringOf(lifecycle).start({ endpoints }, 40)
  /** Nothing of what it held in memory is left to the next controller. */
  const dieAndComeBack = () => {
    lifecycle.stop()
    const next = startLifecycle(t, world)
    const work = new AbortController()
    const mirroring = mirroringOf(next, { ...world.clock, sleep: async () => work.abort() }) // after one look
    return { lifecycle: next, mirroring, run: async () => mirroring.run(work.signal) }
  }
  const candidate = () => world.gateway.policy(ROUTE).variants['candidate']?.endpoints
  const mirror = () => world.gateway.policy(ROUTE).mirror
  const service = createRolloutService({
    ...lifecycle,
    hasPrometheus: false,
    nudge: () => {},
    requireFree: lifecycle.environments.requireFree,
  })
  return { world, lifecycle, endpoints, before, lend, dieAndComeBack, candidate, mirror, service }
}

t.test('what was lent is given back with the mirror that there was', async t => {
  const { lend, candidate, mirror, endpoints, before } = await begun(t)
  const end = await lend()
  t.same(candidate(), endpoints)
  t.match(mirror(), { to: 'candidate', percent: 40 })
  await end()
  t.same(candidate(), [])
  t.match(mirror(), before)
})

// A second start took the mirror of the first for the one that there had been, and copied for ever.
t.test('a controller that was killed gives it back when it starts again', async t => {
  const { lend, candidate, mirror, before, dieAndComeBack } = await begun(t)
  await lend()
  const { lifecycle, run } = dieAndComeBack()
  await run()
  t.same(candidate(), [])
  t.match(mirror(), before)
  t.match(
    lifecycle.audit.list({ subject: ROUTE }).find(({ action }) => action === 'policy-applied'),
    { actor: 'controller', reason: /no live requests are copied any more/ },
    'and says so',
  )
})

t.test('gates that begin anew after that lend it again, and give back what there was at first', async t => {
  const { lend, candidate, mirror, endpoints, before, dieAndComeBack } = await begun(t)
  await lend()
  const { mirroring } = dieAndComeBack()
  const end = await mirroring.start({ endpoints }, 60)
  t.match(mirror(), { percent: 60 })
  await end()
  t.same(candidate(), [])
  t.match(mirror(), before)
})

t.test('a version that left staging while its controller was dead is not taken for the canary', async t => {
  const { lend, dieAndComeBack } = await begun(t)
  await lend()
  const { lifecycle, run } = dieAndComeBack()
  const asked = { to: 'staging' as const, from: 'development' as const, version: '3', force: false, ...ADA }
  const begin = await lifecycle.environments.preparePromote(asked)
  begin()
  await lifecycle.settle('staging')
  t.match(await lifecycle.settle('canary'), { current: null, deploying: null })
  await run()
  t.match(await lifecycle.settle('canary'), { current: null, deploying: null, history: [] })
})

t.test('while it is lent neither a rollout nor a promotion takes it', async t => {
  const { lifecycle, lend, service } = await begun(t)
  const promote = async () =>
    lifecycle.environments.preparePromote({
      to: 'canary',
      from: 'staging',
      version: '2',
      force: false,
      ...ADA,
    })
  const spec = { route: ROUTE, modelVersion: '3', strategy: { canary: { steps: [{ setWeight: 10 }] } } }
  const rollout = async () =>
    service.prepareStart({ apiVersion: 'weir.dev/v1alpha1', kind: 'Rollout', spec }, ADA)
  const [begin, start] = [await promote(), await rollout()]
  const end = await lend()
  t.throws(begin, { code: 'conflict', message: /its place is lent/ })
  t.throws(start, { code: 'conflict', message: /its place is lent/ })
  await t.rejects(promote(), { code: 'conflict', message: /its place is lent/ })
  await t.rejects(rollout(), { code: 'conflict', message: /its place is lent/ })
  await end()
  const later = await promote()
  later()
  t.match(await lifecycle.settle('canary'), { current: { version: '2' } })
})

t.test('it is not lent while a rollout is under way, or canary is busy', async t => {
  const { lifecycle, lend, service, candidate } = await begun(t)
  const asked = { to: 'canary' as const, from: 'staging' as const, version: '2', force: false, ...ADA }
  const begin = await lifecycle.environments.preparePromote(asked)
  begin()
  await t.rejects(lend(), { code: 'conflict', message: /canary.* is busy/ })
  await lifecycle.settle('canary')
  const canary = lifecycle.environments.running('canary')?.endpoints
  const spec = { route: ROUTE, modelVersion: '3', strategy: { canary: { steps: [{ setWeight: 10 }] } } }
  const start = await service.prepareStart({ apiVersion: 'weir.dev/v1alpha1', kind: 'Rollout', spec }, ADA)
  start()
  await t.rejects(lend(), { code: 'conflict', message: /a rollout is under way/ })
  t.same(candidate(), canary)
})

t.test(
  'a place that a person took meanwhile is left alone, and what was compared is no evidence',
  async t => {
    const { world, lend, candidate, mirror, before } = await begun(t)
    const end = await lend()
    const [endpoint] = await world.runtime.place('by-hand', '4')
    const policy = world.gateway.policy(ROUTE)
    world.gateway.write({ ...policy, variants: { ...policy.variants, candidate: { endpoints: [endpoint] } } })
    await t.rejects(end(), { code: 'conflict', message: /led elsewhere while it was compared/ })
    t.same(candidate(), [endpoint])
    t.match(mirror(), before)
  },
)
