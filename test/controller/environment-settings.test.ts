import t from 'tap'
import { environmentSettings } from '../../contract/environment.ts'
import { provenInStaging, startEnvironmentWorld, startLifecycle } from './environment-world.ts'
import { gates, promote, run, startControl, startWorld } from './pipeline-control.ts'

// What environments.yaml says of an environment's processes holds for whatever runs there.

type Test = Parameters<typeof startEnvironmentWorld>[0]

async function begun(t: Test, settings: object) {
  const world = await startEnvironmentWorld(t)
  const lifecycle = startLifecycle(t, world, undefined, settings)
  for (const name of ['production', 'staging', 'canary'] as const) await lifecycle.settle(name)
  const look = async (looks = 5) => {
    for (let n = 0; n < looks; n++)
      for (const name of ['production', 'staging', 'canary'] as const) await lifecycle.look(name)
  }
  const stable = () => world.gateway.policy('food11').variants['stable']?.endpoints ?? []
  const endpointsOf = (id: string) => world.runtime.list().find(found => found.id === id)?.endpoints ?? []
  return { world, lifecycle, look, stable, endpointsOf }
}

t.test('what served users before gets as many instances, and users are led to all of them', async t => {
  const { world, lifecycle, look, stable, endpointsOf } = await begun(t, { production: { instances: 3 } })
  await look()
  t.equal(stable().length, 3)
  t.same(stable(), endpointsOf('food11-v1'))
  t.match(lifecycle.environments.view('production'), {
    current: { version: '1', instances: 3, revision: 1 },
    settings: { instances: 3, memoryLimitMiB: null },
  })
  t.same(world.runtime.scaled, ['food11-v1: 3'], 'once')
  const scaled = lifecycle.audit
    .list({ subject: 'environment/production' })
    .filter(({ action }) => action === 'scaled')
  t.match(scaled, [
    { actor: 'controller', reason: 'version 1: 3 instances in place of 1, as environments.yaml says' },
  ])
})

t.test('where there are too many, nothing leads to those that go before they go', async t => {
  const { world, lifecycle, look, stable, endpointsOf } = await begun(t, { production: { instances: 2 } })
  const three = await world.runtime.place('food11-r', '2', 3)
  world.gateway.write({
    ...world.gateway.policy('food11'),
    variants: { stable: { endpoints: three }, candidate: { endpoints: [] } },
  })
  const { scale } = world.runtime
  let ledTo: readonly string[] = []
  world.runtime.scale = async (id, instances, afterMs) => {
    ledTo = stable()
    t.ok((afterMs ?? 0) >= 10_000, 'requests on their way can finish')
    await scale(id, instances, afterMs)
  }
  await look(10)
  t.match(lifecycle.environments.view('production'), { current: { version: '2', instances: 2 } })
  t.same(ledTo, three.slice(0, 2))
  t.same(stable(), endpointsOf('food11-r'))
})

t.test('they are kept when a rollout has ended, and left to it before', async t => {
  const world = await startWorld(t, `${gates(0)}approval: automatic\n`)
  const settings = { production: { instances: 2, memoryLimitMiB: 300 }, canary: { memoryLimitMiB: 200 } }
  const control = startControl(t, world, { settings })
  const stable = () => world.gateway.policy('food11').variants['stable']?.endpoints.length
  await control.until('two of the first', () => stable() === 2)
  await run(control, '2')
  await control.until('the rollout', () => control.rollouts.list().length === 1)
  const [rollout] = control.rollouts.list()
  for (let looks = 0; looks < 10; looks++) await control.look()
  t.same(world.runtime.scaled, ['food11-v1: 2'], 'while it is under way nothing is changed')
  const deployment = rollout?.state.deployment.id ?? ''
  t.equal(world.runtime.memoryLimits.get(deployment), 200, 'as a canary')
  promote(world, control, rollout?.name ?? '')
  await control.until('two of the second', () => stable() === 2)
  await control.until('its instances in both', () =>
    (['canary', 'production'] as const).every(
      name => control.environments.view(name).current?.instances === 2,
    ),
  )
  t.match(control.environments.view('production'), { current: { version: '2' } })
  t.same(world.runtime.scaled, ['food11-v1: 2', `${deployment}: 2`])
  t.equal(world.runtime.memoryLimits.get(deployment), 300, 'as production')
  t.same(
    world.gateway.policy('food11-canary').variants['canary']?.endpoints,
    world.gateway.policy('food11').variants['stable']?.endpoints,
    'its own address leads to them, too',
  )
})

t.test('without them what a rollout brought is left as it is', async t => {
  const { world, lifecycle, look, stable } = await begun(t, {})
  const three = await world.runtime.place('food11-r', '2', 3)
  world.gateway.write({
    ...world.gateway.policy('food11'),
    variants: { stable: { endpoints: three }, candidate: { endpoints: [] } },
  })
  await look(10)
  t.same(stable(), three)
  t.match(lifecycle.environments.view('production'), {
    current: { instances: 3 },
    settings: { instances: null },
  })
  t.same(world.runtime.scaled, [])
})

// A return that had to be started anew once began with one process where the traffic had needed several.
t.test('without them what takes production over begins with as many as served users before', async t => {
  const { world, lifecycle, look, stable } = await begun(t, {})
  const three = await world.runtime.place('food11-r', '2', 3)
  world.gateway.write({
    ...world.gateway.policy('food11'),
    variants: { stable: { endpoints: three }, candidate: { endpoints: [] } },
  })
  await look()
  world.clock.forward(11 * 60_000) // version 1 is not kept warm any more
  await look()
  const roll = await lifecycle.environments.prepareRollback('production', { actor: 'ada', reason: 'bad' })
  roll()
  await lifecycle.settle('production')
  t.match(lifecycle.environments.view('production'), { current: { version: '1', instances: 3 } })
  t.equal(stable().length, 3)
  await provenInStaging(lifecycle, '3')
  t.match(lifecycle.environments.view('staging'), { current: { version: '3', instances: 1 } })
})

t.test('what is kept warm takes over as it is, at once', async t => {
  const { world, lifecycle, look } = await begun(t, {})
  const three = await world.runtime.place('food11-r', '2', 3)
  world.gateway.write({
    ...world.gateway.policy('food11'),
    variants: { stable: { endpoints: three }, candidate: { endpoints: [] } },
  })
  await look()
  const roll = await lifecycle.environments.prepareRollback('production', { actor: 'ada', reason: 'bad' })
  roll()
  t.match(await lifecycle.settle('production'), { current: { version: '1', instances: 1 } })
})

t.test('what is promoted by hand begins with them', async t => {
  const { world, lifecycle } = await begun(t, { staging: { instances: 2, memoryLimitMiB: 256 } })
  await provenInStaging(lifecycle, '2')
  const { current } = lifecycle.environments.view('staging')
  t.match(current, { version: '2', instances: 2 })
  t.equal(world.runtime.memoryLimits.get('food11-staging-r1'), 256)
  t.same(world.runtime.scaled, [])
})

t.test('nonsense is refused by name', async t => {
  for (const settings of [
    { production: { instances: 0 } },
    { production: { instances: 33 } },
    { canary: { memoryLimitMiB: 1 } },
    { staging: { replicas: 2 } },
  ])
    t.notOk(environmentSettings.safeParse(settings).success, JSON.stringify(settings))
})
