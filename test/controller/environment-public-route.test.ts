import t from 'tap'
import { provenInStaging, startEnvironmentWorld, startLifecycle } from './environment-world.ts'
import { listen } from './small-gateway.ts'

// A deployment that comes to nothing leaves the public route as others had it.

type Test = Parameters<typeof startEnvironmentWorld>[0]

const FORCED = { from: 'staging' as const, force: true, reason: 'a test', actor: 'ada' }

async function begun(t: Test, variants: object, weights: object) {
  const world = await startEnvironmentWorld(t)
  world.gateway.write({ ...world.gateway.policy('food11'), variants, weights })
  const lifecycle = startLifecycle(t, world)
  for (const name of ['production', 'staging', 'canary'] as const) await lifecycle.settle(name)
  await provenInStaging(lifecycle, '2')
  world.gateway.publicPolicies.length = 0
  const promote = async (to: 'canary' | 'production', version: string) => {
    const begin = await lifecycle.environments.preparePromote({ ...FORCED, to, version })
    begin()
  }
  const giveUp = async () => {
    const begin = await lifecycle.environments.prepareRollback('production', { actor: 'ada' })
    begin()
  }
  const reach = async (stage: string) => {
    const { environments, look } = lifecycle
    for (let looks = 0; environments.view('production').deploying?.stage !== stage; looks++) {
      if (looks > 20) throw new Error(`never ${stage}: ${environments.view('production').message}`)
      await look('production')
    }
  }
  return { world, lifecycle, promote, giveUp, reach }
}

/** A server of the team's own that does not say which version it is: no environment follows it. */
async function wordless(t: Test): Promise<string> {
  return listen(t, (_, response) => {
    response.statusCode = 404
    response.end()
  })
}

t.test('a promotion that never gets ready writes nothing to a route that others lead', async t => {
  const stable = { endpoints: [await wordless(t)] }
  const { world, lifecycle, promote } = await begun(
    t,
    { stable, candidate: { endpoints: [] } },
    { stable: 100, candidate: 0 },
  )
  t.equal(lifecycle.environments.view('production').current, null)
  await lifecycle.registry.setAlias('food11', 'production', '1', { actor: 'ada', reason: 'I saw it answer' })
  world.runtime.troubles.set('2', 'refused')
  await promote('production', '2')
  t.match(await lifecycle.settle('production'), { current: null, message: /refuses to serve/ })
  t.same(world.gateway.publicPolicies, [], 'users are where they were')
  t.match(await lifecycle.registry.aliases('food11'), { production: '1' }, 'and so is the alias')
})

t.test('a promotion that is given up after the switch leads back to what was there before', async t => {
  const stable = { endpoints: [await wordless(t)] }
  const weights = { stable: 100, candidate: 0 }
  const { world, lifecycle, promote, giveUp, reach } = await begun(
    t,
    { stable, candidate: { endpoints: [] } },
    weights,
  )
  await promote('production', '2')
  await reach('switching')
  t.notMatch(world.gateway.policy('food11').variants['stable'], stable, 'users are led to it')
  await giveUp()
  await lifecycle.settle('production')
  t.match(world.gateway.policy('food11'), { variants: { stable }, weights })
})

t.test('weights that a person set stay, or come back, where a promotion comes to nothing', async t => {
  const world = await startEnvironmentWorld(t)
  const [candidate] = await world.runtime.place('by-hand', '4')
  const { variants: before } = world.gateway.policy('food11')
  const variants = { ...before, candidate: { endpoints: [candidate] } }
  const weights = { stable: 90, candidate: 10 }
  world.gateway.write({ ...world.gateway.policy('food11'), variants, weights })
  const lifecycle = startLifecycle(t, world)
  for (const name of ['production', 'staging', 'canary'] as const) await lifecycle.settle(name)
  world.runtime.troubles.set('3', 'refused')
  const promote = async (version: string) => {
    const begin = await lifecycle.environments.preparePromote({ ...FORCED, to: 'production', version })
    begin()
  }
  await promote('3')
  t.match(await lifecycle.settle('production'), { current: { version: '1' } })
  t.same(world.gateway.publicPolicies, [])

  await promote('2')
  while (lifecycle.environments.view('production').deploying?.stage === 'starting')
    await lifecycle.look('production')
  t.match(world.gateway.policy('food11').weights, { stable: 100, candidate: 0 })
  const giveUp = await lifecycle.environments.prepareRollback('production', { actor: 'ada' })
  giveUp()
  t.match(await lifecycle.settle('production'), { current: { version: '1' } })
  t.match(world.gateway.policy('food11'), { variants, weights })
})

t.test('a route that a person closed is not opened by what comes into canary', async t => {
  const variants = { stable: { endpoints: [await wordless(t)] }, candidate: { endpoints: [] } }
  const { world, lifecycle, promote } = await begun(t, variants, { stable: 0, candidate: 0 })
  await promote('canary', '2')
  t.match(await lifecycle.settle('canary'), { current: { version: '2' }, health: 'healthy' })
  t.match(world.gateway.policy('food11').weights, { stable: 0, candidate: 0 })
})

t.test('nothing is switched while the gateway cannot say what it leads to', async t => {
  const world = await startEnvironmentWorld(t)
  let isAway = false
  const lifecycle = startLifecycle(t, world, dependency =>
    'patchRoute' in dependency
      ? new Proxy(dependency, {
          get(target, key) {
            if (isAway && key === 'routes') return async () => Promise.reject(new Error('it is away'))
            return Reflect.get(target, key) as unknown
          },
        })
      : dependency,
  )
  for (const name of ['production', 'staging', 'canary'] as const) await lifecycle.settle(name)
  const begin = await lifecycle.environments.preparePromote({ ...FORCED, to: 'production', version: '2' })
  begin()
  await lifecycle.look('production')
  isAway = true
  for (let looks = 0; looks < 3; looks++) await lifecycle.look('production').catch(() => undefined)
  t.match(lifecycle.environments.view('production').deploying, { stage: 'starting' })
  isAway = false
  t.match(await lifecycle.settle('production'), { current: { version: '2' }, health: 'healthy' })
})
