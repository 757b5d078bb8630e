import t from 'tap'
import type { EnvironmentName } from '../../contract/environment.ts'
import {
  digestOf,
  provenInStaging,
  startEnvironmentWorld,
  startLifecycle,
  type EnvironmentWorld,
  type LifecycleUnderTest,
  type Through,
} from './environment-world.ts'

type Test = Parameters<typeof startEnvironmentWorld>[0]

const FAILED = { actor: 'controller', reason: 'load: p95 was 2400 ms, not below 2000 ms' }

async function deploy(
  { environments, settle }: LifecycleUnderTest,
  to: EnvironmentName,
  version: string,
): Promise<number> {
  const from = to === 'staging' ? 'development' : 'staging'
  const force = to !== 'staging'
  const begin = await environments.preparePromote({
    to,
    from,
    version,
    force,
    reason: 'a test',
    actor: 'ada',
  })
  begin()
  return (await settle(to)).current?.revision ?? 0
}

async function begun(t: Test) {
  const world = await startEnvironmentWorld(t)
  const lifecycle = startLifecycle(t, world)
  for (const name of ['production', 'staging', 'canary'] as const) await lifecycle.settle(name)
  return { world, lifecycle }
}

t.test('a deployment of the same version that is taken back without blame leaves what was good', async t => {
  const { world, lifecycle } = await begun(t)
  await provenInStaging(lifecycle, '2')
  const again = { to: 'staging', from: 'development', version: '2', again: true, actor: 'ada' } as const
  const begin = await lifecycle.environments.preparePromote({ ...again, force: false, reason: undefined })
  begin()
  const revision = (await lifecycle.settle('staging')).current?.revision ?? 0
  const order = { actor: 'controller', reason: 'only a rehearsal', revision, tell: false }
  t.equal(lifecycle.environments.revert('staging', order), 'reverting')
  const view = await lifecycle.settle('staging')
  t.match(view, { current: { version: '2', good: true }, health: 'healthy' })
  t.equal(world.runtime.list().filter(({ version }) => version === '2').length, 1, 'nothing had to start')
  t.match(await lifecycle.registry.aliases('food11'), { staging: '2' })
  t.match(await lifecycle.registry.get('food11', '2'), { failed: null })
})

t.test('a revert returns to the last version that was seen good, not to the number below', async t => {
  const { lifecycle } = await begun(t)
  await provenInStaging(lifecycle, '1')
  await deploy(lifecycle, 'staging', '2') // verified, and its gates never passed
  const revision = await deploy(lifecycle, 'staging', '3')
  t.equal(lifecycle.environments.revert('staging', { ...FAILED, revision }), 'reverting')
  const view = await lifecycle.settle('staging')
  t.match(view, { current: { version: '1', digest: digestOf('1'), good: true }, health: 'healthy' })
  t.match(await lifecycle.registry.aliases('food11'), { staging: '1' })
  t.match(
    await lifecycle.registry.get('food11', '3'),
    { failed: FAILED.reason },
    'it stays registered, with the reason',
  )
  t.match(
    view.history.find(entry => entry.revision === revision),
    { version: '3', failure: FAILED.reason },
  )
})

t.test('asked twice, it reverts once', async t => {
  const { world, lifecycle } = await begun(t)
  await provenInStaging(lifecycle, '1')
  const revision = await deploy(lifecycle, 'staging', '2')
  t.equal(lifecycle.environments.revert('staging', { ...FAILED, revision }), 'reverting')
  t.equal(lifecycle.environments.revert('staging', { ...FAILED, revision }), 'done')
  await lifecycle.settle('staging')
  t.equal(lifecycle.environments.revert('staging', { ...FAILED, revision }), 'done')
  const { history } = await lifecycle.settle('staging')
  t.same(
    history.map(({ version, how }) => `${how} ${version}`),
    ['revert 1', 'promote 2', 'promote 1'],
  )
  t.equal(
    world.runtime.list().filter(({ version }) => version === '1').length,
    2,
    'production’s and the warm one',
  )
})

t.test('the first version of all has nothing to return to: the environment stops, and says so', async t => {
  const { world, lifecycle } = await begun(t)
  await lifecycle.registry.setAlias('food11', 'development', '2', { actor: 'ada', reason: 'registered' })
  const revision = await deploy(lifecycle, 'staging', '2')
  t.equal(lifecycle.environments.revert('staging', { ...FAILED, revision }), 'stopping')
  const view = await lifecycle.settle('staging')
  t.match(view, {
    current: null,
    health: 'stopped',
    message: /stopped: load: p95 .* nothing that was seen good was there before it/,
  })
  t.match(world.gateway.policy('food11-staging'), { weights: { staging: 0 } }, 'its route is closed')
  t.same(
    await lifecycle.registry.aliases('food11'),
    { production: '1' },
    'no alias leads to the failed version',
  )
})

t.test('a late revert overwrites no newer deployment, neither one under way nor one that runs', async t => {
  const { lifecycle } = await begun(t)
  await provenInStaging(lifecycle, '1')
  const revision = await deploy(lifecycle, 'staging', '2')
  const begin = await lifecycle.environments.preparePromote({
    to: 'staging',
    from: 'development',
    version: '3',
    force: false,
    actor: 'ada',
  })
  begin()
  t.equal(lifecycle.environments.revert('staging', { ...FAILED, revision }), 'superseded')
  t.match(await lifecycle.settle('staging'), { current: { version: '3' }, health: 'healthy' })
  t.equal(lifecycle.environments.revert('staging', { ...FAILED, revision }), 'done')
  t.match(lifecycle.environments.view('staging'), { current: { version: '3' } })
  t.match(await lifecycle.registry.get('food11', '2'), { failed: FAILED.reason })
})

t.test('a version on its way that fails is withdrawn before it took over', async t => {
  const { world, lifecycle } = await begun(t)
  await provenInStaging(lifecycle, '1')
  world.runtime.troubles.set('2', 'slow')
  const begin = await lifecycle.environments.preparePromote({
    to: 'staging',
    from: 'development',
    version: '2',
    force: false,
    actor: 'ada',
  })
  const revision = begin().deploying?.revision ?? 0
  await lifecycle.look('staging')
  t.equal(lifecycle.environments.revert('staging', { ...FAILED, revision }), 'reverting')
  t.match(await lifecycle.settle('staging'), { current: { version: '1', good: true } })
  t.match(await lifecycle.registry.get('food11', '2'), { failed: FAILED.reason })
})

class Cut extends Error {}

/** The controller dies at the `nth` call of `method`, before or after it had its effect. */
function cutAt(method: string, when: 'before' | 'after', nth: number) {
  let calls = 0
  let dead = false
  const through: Through = dependency =>
    new Proxy(dependency, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key)
        if (typeof value !== 'function') return value
        return async (...args: unknown[]) => {
          if (dead) throw new Cut('the controller is dead')
          const dies = key === method && ++calls === nth
          if (dies) dead = true
          if (dies && when === 'before') throw new Cut(`dies before ${method}`)
          const result: unknown = await value.apply(target, args)
          if (dies) throw new Cut(`dies after ${method}`)
          return result
        }
      },
    })
  return { through: syncReads(through), isDead: () => dead }
}

/** Those that answer at once go on doing so. */
function syncReads(through: Through): Through {
  const SYNC = new Set(['at', 'list', 'stop', 'limitMemory'])
  return dependency => {
    const cut = through(dependency)
    return new Proxy(dependency, {
      get: (target, key) => (SYNC.has(String(key)) ? Reflect.get(target, key) : Reflect.get(cut, key)),
    })
  }
}

async function settleThroughCrash(t: Test, world: EnvironmentWorld, cut: ReturnType<typeof cutAt>) {
  const doomed = startLifecycle(t, world, cut.through)
  await doomed.settle('canary').catch((error: unknown) => {
    if (!(error instanceof Cut) && !cut.isDead()) throw error
  })
  doomed.stop()
  const next = startLifecycle(t, world)
  return { view: await next.settle('canary'), next, died: cut.isDead() }
}

for (const method of ['deploy', 'patchRoute', 'setAlias', 'routes', 'aliases', 'status'])
  for (const when of ['before', 'after'] as const)
    for (const nth of [1, 2])
      t.test(`a controller that dies ${when} call ${nth} of ${method} goes on where it was`, async t => {
        const { world, lifecycle } = await begun(t)
        await provenInStaging(lifecycle, '2')
        const begin = await lifecycle.environments.preparePromote({
          to: 'canary',
          from: 'staging',
          version: '2',
          force: false,
          actor: 'ada',
        })
        begin()
        lifecycle.stop()
        const { view, next, died } = await settleThroughCrash(t, world, cutAt(method, when, nth))
        if (nth === 1) t.ok(died)
        t.match(view, {
          current: { version: '2', digest: digestOf('2') },
          health: 'healthy',
          deploying: null,
        })
        t.same(
          view.history.map(({ how, version }) => `${how} ${version}`),
          ['promote 2'],
        )
        t.match(await next.registry.aliases('food11'), { canary: '2', staging: '2', production: '1' })
        t.equal(world.gateway.publicPolicies.length, 1, 'the public route was written once')
        t.equal(
          world.runtime.list().filter(({ version }) => version === '2').length,
          2,
          'one deployment each',
        )
        const deployed = next.audit
          .list({ subject: 'environment/canary' })
          .filter(({ action }) => action === 'deployed')
        t.equal(deployed.length, 1)
      })
