import t from 'tap'
import { createRolloutService } from '../../controller/rollouts/rollout-service.ts'
import {
  provenInStaging,
  startEnvironmentWorld,
  startLifecycle,
  type LifecycleUnderTest,
} from './environment-world.ts'

// A rollout and an environment must not lead the public route at once, whichever of the two was asked for first.

type Test = Parameters<typeof startEnvironmentWorld>[0]

const ADA = { actor: 'ada' }

async function begun(t: Test) {
  const world = await startEnvironmentWorld(t)
  const lifecycle = startLifecycle(t, world)
  for (const name of ['production', 'staging', 'canary'] as const) await lifecycle.settle(name)
  await provenInStaging(lifecycle, '2')
  const service = createRolloutService({
    ...lifecycle,
    hasPrometheus: false,
    nudge: () => {},
    requireFree: lifecycle.environments.requireFree,
  })
  const rollout = async (modelVersion: string) => {
    const spec = { route: 'food11', modelVersion, strategy: { canary: { steps: [{ setWeight: 10 }] } } }
    const start = await service.prepareStart({ apiVersion: 'weir.dev/v1alpha1', kind: 'Rollout', spec }, ADA)
    return start
  }
  return { world, lifecycle, rollout }
}

async function promote({ environments, settle }: LifecycleUnderTest, to: 'canary' | 'production') {
  const asked = { to, from: 'staging' as const, version: '2', force: false, ...ADA }
  const begin = await environments.preparePromote(asked)
  begin()
  await settle(to)
}

for (const to of ['canary', 'production'] as const)
  t.test(`a rollout that begins while a promotion to ${to} is looked up keeps it out`, async t => {
    const { lifecycle, rollout } = await begun(t)
    const asked = { to, from: 'staging' as const, version: '2', force: false, ...ADA }
    const begin = await lifecycle.environments.preparePromote(asked)
    const start = await rollout('3')
    start()
    t.throws(begin, { code: 'conflict', message: /rollout "food11-v3" is under way/ })
    t.equal(lifecycle.environments.view(to).deploying, null)
  })

for (const name of ['canary', 'production'] as const)
  t.test(`a rollout that begins while a rollback of ${name} is looked up keeps it out`, async t => {
    const { lifecycle, rollout } = await begun(t)
    await promote(lifecycle, name)
    lifecycle.environments.markGood(name, lifecycle.environments.running(name)?.revision ?? 0, 'seen')
    const asked = { to: name, from: 'staging' as const, version: '3', force: true, reason: 'a test', ...ADA }
    const begin = await lifecycle.environments.preparePromote(asked)
    begin()
    await lifecycle.settle(name)
    const rollback = await lifecycle.environments.prepareRollback(name, ADA)
    const start = await rollout('4')
    start()
    t.throws(rollback, { code: 'conflict', message: /rollout "food11-v4" is under way/ })
    await t.rejects(lifecycle.environments.prepareRollback(name, ADA), { code: 'conflict' })
    t.match(lifecycle.environments.view(name), { current: { version: '3' }, deploying: null })
  })

t.test('a return that is due waits for the end of a rollout that leads the same users', async t => {
  const { world, lifecycle, rollout } = await begun(t)
  await promote(lifecycle, 'canary')
  lifecycle.environments.markGood('canary', lifecycle.environments.running('canary')?.revision ?? 0, 'seen')
  const asked = { to: 'canary' as const, from: 'staging' as const, version: '3', force: true, ...ADA }
  const begin = await lifecycle.environments.preparePromote({ ...asked, reason: 'a test' })
  begin()
  const revision = (await lifecycle.settle('canary')).current?.revision ?? 0
  world.clock.forward(3_600_000)
  await lifecycle.settle('canary') // nothing is warm any more
  world.runtime.troubles.set('2', 'refused')
  lifecycle.environments.revert('canary', { revision, actor: 'pipeline', reason: 'load: too slow' })
  t.match(await lifecycle.settle('canary'), { current: { version: '3' }, pendingReturn: { tries: 1 } })

  world.runtime.troubles.delete('2')
  const start = await rollout('4')
  const { name } = start()
  world.clock.forward(60_000)
  t.match(await lifecycle.settle('canary'), {
    current: { version: '3' },
    pendingReturn: { version: '2', tries: 1 },
  })
  t.equal(lifecycle.environments.view('canary').history.filter(({ how }) => how === 'revert').length, 1)

  const found = lifecycle.rollouts.get(name)
  if (found !== undefined)
    lifecycle.rollouts.save(name, { ...found.state, phase: 'RolledBack', cause: 'operator', endedAt: 1 })
  t.match(await lifecycle.settle('canary'), { current: { version: '2' }, pendingReturn: null })
})

t.test(
  'staging has users of its own: it is promoted to and rolled back while a rollout is under way',
  async t => {
    const { lifecycle, rollout } = await begun(t)
    const start = await rollout('4')
    start()
    const asked = { to: 'staging' as const, from: 'development' as const, version: '3', force: false, ...ADA }
    const begin = await lifecycle.environments.preparePromote(asked)
    begin()
    t.match(await lifecycle.settle('staging'), { current: { version: '3' } })
    const rollback = await lifecycle.environments.prepareRollback('staging', ADA)
    rollback()
    t.match(await lifecycle.settle('staging'), { current: { version: '2' } })
  },
)

// Its processes are stopped then, and canary had followed them: the environment and its alias stayed with what was gone.
t.test('a withdrawn rollout leaves canary stopped, where nothing was there before it', async t => {
  const { world, lifecycle, rollout } = await begun(t)
  const start = await rollout('3')
  const { name, state } = start()
  const endpoints = await world.runtime.place(state.deployment.id, '3')
  const policy = world.gateway.policy('food11')
  world.gateway.write({ ...policy, variants: { ...policy.variants, candidate: { endpoints } } })
  t.match(await lifecycle.settle('canary'), { current: { version: '3' }, health: 'healthy' })
  t.match(await lifecycle.registry.aliases('food11'), { canary: '3' })

  world.gateway.write(policy)
  t.match(await lifecycle.settle('canary'), { current: { version: '3' } }, 'it may be led there again')
  lifecycle.rollouts.save(name, { ...state, phase: 'RolledBack', cause: 'failure', endedAt: 1 })
  world.runtime.stop(state.deployment.id)
  t.match(await lifecycle.settle('canary'), {
    current: null,
    health: 'stopped',
    message: 'stopped: version 3 runs no more, and the public candidate is nothing',
  })
  t.notOk((await lifecycle.registry.aliases('food11')).canary)
})
