import t from 'tap'
import type { EnvironmentName } from '../../contract/environment.ts'
import {
  digestOf,
  provenInStaging,
  startEnvironmentWorld,
  startLifecycle,
  type LifecycleUnderTest,
} from './environment-world.ts'

type Asked = Parameters<LifecycleUnderTest['environments']['preparePromote']>[0]

async function promote(
  { environments }: LifecycleUnderTest,
  asked: Pick<Asked, 'to' | 'from' | 'version'> & Partial<Asked>,
) {
  const begin = await environments.preparePromote({ force: false, actor: 'ada', ...asked })
  return begin()
}

async function rollback({ environments }: LifecycleUnderTest, name: EnvironmentName) {
  const begin = await environments.prepareRollback(name, { actor: 'ada' })
  return begin()
}

async function begun(t: Test) {
  const world = await startEnvironmentWorld(t)
  const lifecycle = startLifecycle(t, world)
  await lifecycle.settle('production')
  await lifecycle.settle('staging')
  await lifecycle.settle('canary')
  return { world, lifecycle }
}

type Test = Parameters<typeof startEnvironmentWorld>[0]

t.test('what serves users when environments begin is production, seen good, with its alias', async t => {
  const { lifecycle } = await begun(t)
  const [staging, canary, production] = lifecycle.environments.list()
  t.match(production, { name: 'production', health: 'healthy', current: { version: '1', good: true } })
  t.match(staging, { current: null, health: 'stopped' })
  t.match(canary, { current: null, health: 'stopped' })
  t.same(await lifecycle.registry.aliases('food11'), { production: '1' })
})

t.test('the alias moves only after exactly the digest answered at the environment’s own route', async t => {
  const { world, lifecycle } = await begun(t)
  await promote(lifecycle, { to: 'staging', from: 'development', version: '2' })
  const stages: string[] = []
  while (lifecycle.environments.view('staging').deploying !== null) {
    const { deploying } = lifecycle.environments.view('staging')
    const alias = (await lifecycle.registry.aliases('food11')).staging
    stages.push(`${deploying?.stage} ${alias ?? 'none'}`)
    await lifecycle.look('staging')
  }
  t.same([...new Set(stages)], ['starting none', 'switching none', 'aliasing none', 'aliasing 2'])
  t.match(lifecycle.environments.view('staging'), {
    health: 'healthy',
    current: { version: '2', digest: digestOf('2'), good: false },
  })
  t.match(world.gateway.policy('food11-staging'), {
    match: { port: world.gateway.ports.staging },
    weights: { staging: 100 },
  })
  t.same(world.gateway.publicPolicies, [], 'the public route is left alone')
})

t.test(
  'a version that answers as another, is refused or never ready changes neither route nor alias',
  async t => {
    for (const [trouble, reason] of [
      ['impostor', /answers with sha256/],
      ['refused', /integration: it refuses to serve: eleven outputs/],
      ['slow', /resources: not ready after 60 s: loading/],
    ] as const) {
      const { world, lifecycle } = await begun(t)
      await provenInStaging(lifecycle, '2')
      world.runtime.troubles.set('3', trouble)
      await promote(lifecycle, { to: 'staging', from: 'development', version: '3' })
      const view = await lifecycle.settle('staging')
      t.match(view, { current: { version: '2', good: true }, health: 'healthy' }, trouble)
      t.match(view.history[0], { version: '3', verifiedAt: null, failure: reason })
      t.match(await lifecycle.registry.aliases('food11'), { staging: '2' })
      await lifecycle.reconciler.release()
      t.notOk(world.runtime.runs('food11-staging-r2'), 'what was given up is stopped')
    }
  },
)

t.test(
  'promote asks the source at its own route, and for its gates; force needs a reason and is audited',
  async t => {
    const { world, lifecycle } = await begun(t)
    const toCanary = (version: string, more: Partial<Asked> = {}) =>
      promote(lifecycle, { to: 'canary', from: 'staging', version, ...more })
    await t.rejects(toCanary('2'), { code: 'not_verified', message: /nothing answers/ })
    await promote(lifecycle, { to: 'staging', from: 'development', version: '2' })
    await t.rejects(toCanary('2'), { code: 'not_verified' }, 'not while it is on its way')
    const { current } = await lifecycle.settle('staging')
    await t.rejects(toCanary('3'), { code: 'not_verified', message: /version 2 .* answers/ })
    await t.rejects(toCanary('2'), { code: 'gates_not_passed' })
    await t.rejects(toCanary('2', { force: true }), { code: 'invalid_setting', message: /reason/ })
    t.equal(lifecycle.environments.markGood('staging', (current?.revision ?? 0) + 1, 'late'), false)
    lifecycle.environments.markGood('staging', current?.revision ?? 0, 'every gate passed')
    await toCanary('2')
    t.match(await lifecycle.settle('canary'), { current: { version: '2' }, health: 'healthy' })
    t.match(world.gateway.policy('food11'), { weights: { stable: 100, candidate: 0 } })
    t.same(
      world.gateway.policy('food11').variants['candidate']?.endpoints,
      world.gateway.policy('food11-canary').variants['canary']?.endpoints,
      'canary is the public candidate',
    )
    await toCanary('3', { force: true, reason: 'the night shift knows why' })
    t.match(await lifecycle.settle('canary'), { current: { version: '3' } })
    const forced = lifecycle.audit
      .list({ subject: 'environment/canary' })
      .find(({ action }) => action === 'promote-forced')
    t.match(forced, { actor: 'ada', reason: /staging does not run version 3 .* the night shift knows why/ })
  },
)

t.test('an unknown version, a way back, and what runs already are refused', async t => {
  const { lifecycle } = await begun(t)
  await t.rejects(promote(lifecycle, { to: 'staging', from: 'development', version: '9' }), {
    code: 'version_not_found',
  })
  await t.rejects(promote(lifecycle, { to: 'staging', from: 'canary', version: '2' }), {
    code: 'invalid_setting',
  })
  await t.rejects(promote(lifecycle, { to: 'production', from: 'development', version: '1' }), {
    code: 'conflict',
    message: /already/,
  })
})

t.test('what is only registered goes to staging, and further by force alone', async t => {
  const { lifecycle } = await begun(t)
  for (const to of ['canary', 'production'] as const)
    await t.rejects(promote(lifecycle, { to, from: 'development', version: '2' }), {
      code: 'gates_not_passed',
      statusCode: 409,
      message: /staging first/,
    })
})

t.test('one deployment at a time: of two promotions that looked at the same, one is refused', async t => {
  const { lifecycle } = await begun(t)
  const asked = { to: 'staging' as const, from: 'development' as const, force: false, actor: 'ada' }
  const first = await lifecycle.environments.preparePromote({ ...asked, version: '2' })
  const second = await lifecycle.environments.preparePromote({ ...asked, version: '3' })
  first()
  t.throws(second, { code: 'conflict' })
  await t.rejects(promote(lifecycle, { ...asked, version: '4' }), { code: 'conflict', message: /busy/ })
  const { version } = await lifecycle.settle('staging')
  await t.rejects(promote(lifecycle, { ...asked, version: '3', ifMatch: version - 1 }), {
    code: 'precondition_failed',
  })
})

t.test(
  'a rollback of production switches once, back to what was good, and is instant while that is warm',
  async t => {
    const { world, lifecycle } = await begun(t)
    await provenInStaging(lifecycle, '2')
    await promote(lifecycle, { to: 'production', from: 'staging', version: '2' })
    t.match(await lifecycle.settle('production'), { current: { version: '2' }, warm: [{ version: '1' }] })
    t.equal(world.gateway.publicPolicies.length, 1)
    await lifecycle.reconciler.release()
    t.ok(world.runtime.runs('food11-v1'), 'the old version is kept')
    await rollback(lifecycle, 'production')
    t.match(await lifecycle.settle('production'), {
      current: { version: '1', good: true },
      health: 'healthy',
    })
    t.equal(world.gateway.publicPolicies.length, 2, 'one switch')
    t.same(
      world.gateway.publicPolicies.map(({ weights }) => weights),
      [
        { stable: 100, candidate: 0 },
        { stable: 100, candidate: 0 },
      ],
    )
    t.same(world.runtime.list().filter(({ version }) => version === '1').length, 1, 'nothing had to start')
    t.match(await lifecycle.registry.aliases('food11'), { production: '1' })
    await t.rejects(
      rollback(lifecycle, 'production'),
      { code: 'conflict', message: /no earlier version/ },
      'not forth again',
    )
  },
)

t.test('what is kept warm is stopped when its time is over, and a rollback starts it again', async t => {
  const { world, lifecycle } = await begun(t)
  await provenInStaging(lifecycle, '2')
  await promote(lifecycle, { to: 'production', from: 'staging', version: '2' })
  await lifecycle.settle('production')
  world.clock.forward(11 * 60_000)
  await lifecycle.settle('production')
  await lifecycle.reconciler.release()
  t.same(world.runtime.stopped, ['food11-v1'])
  await lifecycle.reconciler.release()
  t.same(world.runtime.stopped, ['food11-v1'], 'once')
  await rollback(lifecycle, 'production')
  t.match(await lifecycle.settle('production'), { current: { version: '1' }, health: 'healthy' })
})

t.test('a rollback while a version is on its way gives that up', async t => {
  const { world, lifecycle } = await begun(t)
  await provenInStaging(lifecycle, '2')
  world.runtime.troubles.set('3', 'slow')
  await promote(lifecycle, { to: 'staging', from: 'development', version: '3' })
  await lifecycle.look('staging')
  await rollback(lifecycle, 'staging')
  t.match(await lifecycle.settle('staging'), {
    current: { version: '2', good: true },
    history: [{ version: '3', failure: 'rolled back by ada' }, {}],
  })
})

// Whoever asked again, because no answer came, went back to what was to be left.
t.test('a rollback that is asked for again while it is under way goes on', async t => {
  const { lifecycle } = await begun(t)
  await provenInStaging(lifecycle, '2')
  await promote(lifecycle, { to: 'production', from: 'staging', version: '2' })
  await lifecycle.settle('production')
  await rollback(lifecycle, 'production')
  await t.rejects(rollback(lifecycle, 'production'), { code: 'conflict', message: /version 1 is on its way/ })
  t.match(await lifecycle.settle('production'), { current: { version: '1', good: true } })
})

t.test('canary takes no traffic away from a candidate that has some', async t => {
  const { world, lifecycle } = await begun(t)
  await provenInStaging(lifecycle, '2')
  const [endpoint] = await world.runtime.place('by-hand', '3')
  const variants = { ...world.gateway.policy('food11').variants, candidate: { endpoints: [endpoint] } }
  world.gateway.write({
    ...world.gateway.policy('food11'),
    variants,
    weights: { stable: 90, candidate: 10 },
  })
  await t.rejects(promote(lifecycle, { to: 'canary', from: 'staging', version: '2' }), {
    code: 'conflict',
    message: /10 %/,
  })
})

t.test('canary follows the public candidate, production what a person led the route to', async t => {
  const { world, lifecycle } = await begun(t)
  const [endpoint] = await world.runtime.place('by-hand', '3')
  const policy = world.gateway.policy('food11')
  world.gateway.write({ ...policy, variants: { ...policy.variants, candidate: { endpoints: [endpoint] } } })
  t.match(await lifecycle.settle('canary'), {
    current: { version: '3', good: false },
    history: [{ how: 'follow' }],
  })
  const stable = policy.variants['stable']
  world.gateway.write({ ...policy, variants: { stable: { endpoints: [endpoint] }, candidate: stable } })
  const production = await lifecycle.settle('production')
  t.match(production, { current: { version: '3', good: false }, warm: [{ version: '1' }] })
  t.match(await lifecycle.registry.aliases('food11'), { production: '3' })
  t.match(
    await lifecycle.settle('canary'),
    { current: { version: '3' } },
    'the old stable, kept warm, is no candidate',
  )
})

t.test('no rollout starts while a deployment changes the public route', async t => {
  const { lifecycle } = await begun(t)
  await provenInStaging(lifecycle, '2')
  await promote(lifecycle, { to: 'canary', from: 'staging', version: '2' })
  t.throws(() => lifecycle.environments.requireFree('food11'), {
    code: 'conflict',
    message: /canary is busy/,
  })
  lifecycle.environments.requireFree('another-route')
  await lifecycle.settle('canary')
  lifecycle.environments.requireFree('food11')
})

// At the start of everything, weights that an operator had just set were overwritten.
t.test('following what others did on the public route writes nothing to it', async t => {
  const world = await startEnvironmentWorld(t)
  const [candidate] = await world.runtime.place('food11-v2', '2')
  const policy = world.gateway.policy('food11')
  const variants = { ...policy.variants, candidate: { endpoints: [candidate] } }
  world.gateway.write({ ...policy, variants, weights: { stable: 90, candidate: 10 } })
  const lifecycle = startLifecycle(t, world)
  t.match(await lifecycle.settle('production'), { current: { version: '1' } })
  t.match(await lifecycle.settle('canary'), { current: { version: '2' } })
  t.match(world.gateway.policy('food11').weights, { stable: 90, candidate: 10 })
  t.same(world.gateway.publicPolicies, [])
})
