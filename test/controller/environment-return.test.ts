import t from 'tap'
import {
  provenInStaging,
  startEnvironmentWorld,
  startLifecycle,
  type LifecycleUnderTest,
} from './environment-world.ts'

// The version that was good does not start when it is to be returned to.

type Test = Parameters<typeof startEnvironmentWorld>[0]

const FAILED = { actor: 'pipeline', reason: 'load: p95 was 2400 ms, not below 2000 ms' }
const SECOND = 1000

async function deploy({ environments, settle }: LifecycleUnderTest, version: string): Promise<number> {
  const asked = { to: 'staging' as const, from: 'development' as const, force: false, actor: 'ada' }
  const begin = await environments.preparePromote({ ...asked, version })
  begin()
  return (await settle('staging')).current?.revision ?? 0
}

/** Version 2 has failed in staging, and version 1, which was good there, refuses to start. */
async function stuck(t: Test) {
  const world = await startEnvironmentWorld(t)
  const lifecycle = startLifecycle(t, world)
  for (const name of ['production', 'staging', 'canary'] as const) await lifecycle.settle(name)
  await provenInStaging(lifecycle, '1')
  const revision = await deploy(lifecycle, '2')
  world.runtime.troubles.set('1', 'refused')
  t.equal(lifecycle.environments.revert('staging', { ...FAILED, revision }), 'reverting')
  return { world, lifecycle, revision, view: await lifecycle.settle('staging') }
}

const triesOf = ({ environments }: LifecycleUnderTest) =>
  environments.view('staging').history.filter(({ how }) => how === 'revert').length

t.test('it is tried again, each time later, and says so until it has come back', async t => {
  const { world, lifecycle, view } = await stuck(t)
  t.match(view, {
    current: { version: '2' },
    deploying: null,
    pendingReturn: { version: '1', tries: 1 },
    message: /eleven outputs.*; returning to version 1 is tried again at .*Z \(1 of 8 tries failed\)/,
  })
  const pauseOf = () =>
    Date.parse(lifecycle.environments.view('staging').pendingReturn?.nextAt ?? '') - world.clock.now()
  t.ok(pauseOf() > 8 * SECOND && pauseOf() <= 10 * SECOND)
  for (let looks = 0; looks < 5; looks++) await lifecycle.look('staging')
  t.equal(triesOf(lifecycle), 1, 'not before its time')
  world.clock.forward(10 * SECOND)
  t.match(await lifecycle.settle('staging'), { pendingReturn: { tries: 2 } })
  t.ok(pauseOf() > 15 * SECOND && pauseOf() <= 20 * SECOND)

  lifecycle.stop() // the controller dies, and what is to be done is known to the next one
  const next = startLifecycle(t, world)
  world.runtime.troubles.delete('1')
  world.clock.forward(20 * SECOND)
  t.match(await next.settle('staging'), {
    current: { version: '1', good: true },
    health: 'healthy',
    pendingReturn: null,
    message: 'version 1 runs',
  })
  t.match(await next.registry.aliases('food11'), { staging: '1' })
  const told = next.audit.list({ subject: 'environment/staging' }).toReversed()
  const returns = told.filter(({ action, actor }) => action === 'revert' && actor === 'controller')
  t.match(returns, [
    { reason: 'returning to version 1 again (try 2 of 8)' },
    { reason: 'returning to version 1 again (try 3 of 8)' },
  ])
  t.equal(
    told.filter(({ action, reason }) => action === 'deployment-failed' && /tried again at/.test(reason))
      .length,
    2,
  )
})

t.test('it is given up after so many tries, and a person may try again', async t => {
  const { world, lifecycle } = await stuck(t)
  for (let tries = 1; tries < 8; tries++) {
    world.clock.forward(600 * SECOND)
    await lifecycle.settle('staging')
  }
  t.match(lifecycle.environments.view('staging'), {
    current: { version: '2' },
    pendingReturn: { version: '1', tries: 8, nextAt: null },
    message: /given up to return to version 1 after 8 tries; weir env rollback staging tries again/,
  })
  world.clock.forward(86_400 * SECOND)
  await lifecycle.settle('staging')
  t.equal(triesOf(lifecycle), 8)
  world.runtime.troubles.delete('1')
  const rollback = await lifecycle.environments.prepareRollback('staging', {
    actor: 'grace',
    reason: undefined,
  })
  rollback()
  t.match(await lifecycle.settle('staging'), { current: { version: '1' }, pendingReturn: null })
})

t.test('a newer deployment is not overwritten by a return that is due, and ends it', async t => {
  const { world, lifecycle } = await stuck(t)
  world.runtime.troubles.delete('1')
  const begin = await lifecycle.environments.preparePromote({
    to: 'staging',
    from: 'development',
    version: '3',
    force: false,
    actor: 'ada',
  })
  begin()
  world.clock.forward(15 * SECOND) // it is due while the newer one is on its way
  t.match(await lifecycle.settle('staging'), { current: { version: '3' }, pendingReturn: null })
  world.clock.forward(600 * SECOND)
  t.match(await lifecycle.settle('staging'), { current: { version: '3' }, health: 'healthy' })
  t.equal(triesOf(lifecycle), 1)
})

t.test('a newer deployment that comes to nothing leaves the return to be tried', async t => {
  const { world, lifecycle } = await stuck(t)
  world.runtime.troubles.set('3', 'refused')
  await deploy(lifecycle, '3')
  t.match(lifecycle.environments.view('staging'), {
    current: { version: '2' },
    pendingReturn: { version: '1' },
  })
  world.runtime.troubles.delete('1')
  world.clock.forward(60 * SECOND)
  t.match(await lifecycle.settle('staging'), { current: { version: '1' }, pendingReturn: null })
})

t.test('a return that a person gives up is not tried again', async t => {
  const { world, lifecycle } = await stuck(t)
  world.runtime.troubles.set('1', 'slow')
  world.clock.forward(60 * SECOND)
  await lifecycle.look('staging')
  t.match(lifecycle.environments.view('staging').deploying, { how: 'revert', version: '1' })
  const giveUp = await lifecycle.environments.prepareRollback('staging', {
    actor: 'grace',
    reason: 'leave it',
  })
  giveUp()
  t.match(await lifecycle.settle('staging'), { current: { version: '2' }, pendingReturn: null })
  world.clock.forward(3600 * SECOND)
  await lifecycle.settle('staging')
  t.equal(triesOf(lifecycle), 2)
})
