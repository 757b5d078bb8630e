import t from 'tap'
import { WeirError } from '../../contract/errors.ts'
import { until } from '../helpers/until.ts'
import {
  provenInStaging,
  startEnvironmentWorld,
  startLifecycle,
  type LifecycleUnderTest,
  type Through,
} from './environment-world.ts'

// The books are not to be had: a registry elsewhere does not answer. What users get does not wait for that.

type Test = Parameters<typeof startEnvironmentWorld>[0]

const FAILED = { actor: 'pipeline', reason: 'load: p95 was 2400 ms, not below 2000 ms' }

/** A registry of which everything is asked only after `first`. */
function asksFirst(first: () => Promise<void>): Through {
  return dependency =>
    'markFailed' in dependency
      ? new Proxy(dependency, {
          get(target, key) {
            const value: unknown = Reflect.get(target, key)
            if (typeof value !== 'function') return value
            return async (...args: unknown[]): Promise<unknown> => {
              await first()
              return value.apply(target, args)
            }
          },
        })
      : dependency
}

/** Everything that is asked of the registry is refused while it is away. */
function mortalRegistry() {
  let isAway = false
  const through = asksFirst(async () => {
    if (isAway) throw new WeirError('registry_unavailable', 'the registry does not answer')
  })
  return { through, goes: () => void (isAway = true), comes: () => void (isAway = false) }
}

async function begun(t: Test) {
  const world = await startEnvironmentWorld(t)
  const registry = mortalRegistry()
  const lifecycle = startLifecycle(t, world, registry.through)
  for (const name of ['production', 'staging', 'canary'] as const) await lifecycle.settle(name)
  await provenInStaging(lifecycle, '1')
  return { world, lifecycle, registry, revision: await deploy(lifecycle, '2') }
}

async function deploy({ environments, settle }: LifecycleUnderTest, version: string): Promise<number> {
  const asked = { to: 'staging' as const, from: 'development' as const, force: false, actor: 'ada' }
  const begin = await environments.preparePromote({ ...asked, version })
  begin()
  return (await settle('staging')).current?.revision ?? 0
}

/** As the controller looks: what stands in the way of one look is told, and the next one comes. */
async function looks({ look }: LifecycleUnderTest, count: number): Promise<void> {
  for (let looked = 0; looked < count; looked++) await look('staging').catch(() => undefined)
}

async function versionAt(port: number): Promise<unknown> {
  const headers = { 'x-weir-variant': 'staging' }
  const answer = await fetch(`http://127.0.0.1:${port}/version`, { headers })
  return ((await answer.json()) as { model_version?: string }).model_version
}

// The failure was to be told to the registry first, and where that failed nothing else was done.
for (const kept of ['kept warm', 'stopped meanwhile'] as const)
  t.test(`a revert leads back to a version that is ${kept}, although the registry is away`, async t => {
    const { world, lifecycle, registry, revision } = await begun(t)
    if (kept === 'stopped meanwhile') {
      world.clock.forward(3_600_000)
      await lifecycle.settle('staging')
      await lifecycle.reconciler.release()
      t.equal(world.runtime.runs('food11-staging-r1'), false)
    }
    registry.goes()
    t.equal(lifecycle.environments.revert('staging', { ...FAILED, revision }), 'reverting')
    await looks(lifecycle, 6)
    t.equal(await versionAt(world.gateway.ports.staging), '1', 'what failed has no more users')
    t.match(lifecycle.environments.view('staging'), {
      deploying: { version: '1', stage: 'aliasing' },
      message: /the registry does not answer/,
    })

    registry.comes()
    t.match(await lifecycle.settle('staging'), { current: { version: '1', good: true }, health: 'healthy' })
    t.match(await lifecycle.registry.aliases('food11'), { staging: '1' })
    t.match(await lifecycle.registry.get('food11', '2'), { failed: FAILED.reason }, 'it is told later')
  })

t.test('a first version that failed is led nowhere, although the registry is away', async t => {
  const world = await startEnvironmentWorld(t)
  const registry = mortalRegistry()
  const lifecycle = startLifecycle(t, world, registry.through)
  for (const name of ['production', 'staging'] as const) await lifecycle.settle(name)
  const revision = await deploy(lifecycle, '2')
  registry.goes()
  t.equal(lifecycle.environments.revert('staging', { ...FAILED, revision }), 'stopping')
  await looks(lifecycle, 3)
  t.match(world.gateway.policy('food11-staging'), { weights: { staging: 0 } })
  registry.comes()
  t.match(await lifecycle.settle('staging'), { current: null, health: 'stopped' })
  t.match(await lifecycle.registry.get('food11', '2'), { failed: FAILED.reason })
})

t.test('a registry that hangs keeps nobody with what failed', async t => {
  const world = await startEnvironmentWorld(t)
  let isHanging = false
  const answers = Promise.withResolvers<void>()
  const hangs = async () => (isHanging ? answers.promise : undefined)
  const lifecycle = startLifecycle(t, world, asksFirst(hangs))
  for (const name of ['production', 'staging'] as const) await lifecycle.settle(name)
  const revision = await deploy(lifecycle, '2')
  isHanging = true
  lifecycle.environments.revert('staging', { ...FAILED, revision })
  const looking = lifecycle.look('staging')
  await until('its route is closed', 10_000, async () => {
    return world.gateway.policy('food11-staging').weights['staging'] === 0
  })
  answers.resolve()
  await looking
  t.match(await lifecycle.settle('staging'), { current: null, health: 'stopped' })
})

t.test('the failure is told although the gateway is away', async t => {
  const { world, lifecycle, revision } = await begun(t)
  const cut = startLifecycle(t, world, dependency =>
    'patchRoute' in dependency
      ? new Proxy(dependency, {
          get(target, key) {
            if (key === 'patchRoute') return async () => Promise.reject(new Error('the gateway is away'))
            return Reflect.get(target, key) as unknown
          },
        })
      : dependency,
  )
  lifecycle.stop()
  cut.environments.revert('staging', { ...FAILED, revision })
  await looks(cut, 4)
  t.match(await cut.registry.get('food11', '2'), { failed: FAILED.reason })
})
