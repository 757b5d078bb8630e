import t from 'tap'
import type { Registry } from '../../controller/registry/registry.ts'
import {
  digestOf,
  provenInStaging,
  startEnvironmentWorld,
  startLifecycle,
  type EnvironmentWorld,
} from './environment-world.ts'
import { json, listen } from './small-gateway.ts'

// Servers that somebody started by hand say what they like. An alias leads only to what is registered, with exactly that content.

type Test = Parameters<typeof startEnvironmentWorld>[0]

async function handRun(t: Test, version: string, digest: string): Promise<string> {
  return listen(t, (_, response) => json(response, { model: 'food11', model_version: version, digest }))
}

function lead({ gateway }: EnvironmentWorld, variant: 'stable' | 'candidate', endpoint: string | undefined) {
  const policy = gateway.policy('food11')
  const variants = { ...policy.variants, [variant]: { endpoints: endpoint === undefined ? [] : [endpoint] } }
  gateway.write({ ...policy, variants })
}

async function begun(t: Test) {
  const world = await startEnvironmentWorld(t)
  const lifecycle = startLifecycle(t, world)
  for (const name of ['production', 'staging', 'canary'] as const) await lifecycle.settle(name)
  return { world, lifecycle }
}

for (const [what, version, reason] of [
  ['other content than is registered', '2', `version 2 is registered as ${digestOf('2')}`],
  ['no version that is registered', '9', 'no version "9"'],
] as const)
  t.test(`a server that calls itself ${version}, ${what}, is not followed, and is told of`, async t => {
    const { world, lifecycle } = await begun(t)
    const [first] = world.gateway.policy('food11').variants['stable']?.endpoints ?? []
    lead(world, 'stable', await handRun(t, version, digestOf('foreign')))
    const view = await lifecycle.settle('production')
    t.match(view, { current: { version: '1' }, deploying: null, health: 'unhealthy' })
    for (const part of [`calls itself version ${version} (${digestOf('foreign')})`, reason, 'not followed'])
      t.ok(view.message.includes(part), part)
    t.same(await lifecycle.registry.aliases('food11'), { production: '1' })
    await lifecycle.settle('production')
    const told = lifecycle.audit
      .list({ subject: 'environment/production' })
      .filter(({ action }) => action === 'not-followed')
    t.equal(told.length, 1, 'once')
    t.equal(told[0]?.reason, view.message)

    lead(world, 'stable', first)
    t.match(await lifecycle.settle('production'), { health: 'healthy', message: 'version 1 runs' })
  })

t.test('a candidate like that is no canary, and keeps nothing from coming there', async t => {
  const { world, lifecycle } = await begun(t)
  lead(world, 'candidate', await handRun(t, '9', digestOf('9')))
  t.match(await lifecycle.settle('canary'), {
    current: null,
    deploying: null,
    message: /the public candidate is what calls itself version 9/,
  })
  await provenInStaging(lifecycle, '2')
  const asked = { to: 'canary' as const, from: 'staging' as const, version: '2', force: false, actor: 'ada' }
  const begin = await lifecycle.environments.preparePromote(asked)
  begin()
  t.match(await lifecycle.settle('canary'), { current: { version: '2' }, message: 'version 2 runs' })
})

/** From some moment on the number is another content's. */
function renumbered() {
  let digest: string | undefined
  const through = <T extends object>(dependency: T): T =>
    'markFailed' in dependency
      ? new Proxy(dependency, {
          get(target, key) {
            if (key !== 'get') return Reflect.get(target, key) as unknown
            return async (model: string, version: string) => {
              const found = await (target as unknown as Registry).get(model, version)
              return version === '2' && digest !== undefined ? { ...found, digest } : found
            }
          },
        })
      : dependency
  return { through, becomes: (other: string) => void (digest = other) }
}

t.test('a number that is registered anew while its version is on its way leads no alias there', async t => {
  const world = await startEnvironmentWorld(t)
  const registry = renumbered()
  const lifecycle = startLifecycle(t, world, registry.through)
  for (const name of ['production', 'staging'] as const) await lifecycle.settle(name)
  await provenInStaging(lifecycle, '1')
  const asked = { to: 'staging' as const, from: 'development' as const, version: '2', force: false }
  const begin = await lifecycle.environments.preparePromote({ ...asked, actor: 'ada' })
  begin()
  registry.becomes(digestOf('another'))
  t.match(await lifecycle.settle('staging'), {
    current: { version: '1' },
    health: 'healthy',
    history: [{ version: '2', failure: /version 2 is registered as sha256/ }, {}],
  })
  t.match(await lifecycle.registry.aliases('food11'), { staging: '1' })
})

t.test(
  'a candidate that was followed, and is gone before it answered, leads back what led to it',
  async t => {
    const { world, lifecycle } = await begun(t)
    await provenInStaging(lifecycle, '2')
    const asked = {
      to: 'canary' as const,
      from: 'staging' as const,
      version: '2',
      force: false,
      actor: 'ada',
    }
    const begin = await lifecycle.environments.preparePromote(asked)
    begin()
    await lifecycle.settle('canary')
    const policy = world.gateway.policy('food11')
    const [other] = await world.runtime.place('by-hand', '3')
    lead(world, 'candidate', other)
    await lifecycle.look('canary')
    t.match(lifecycle.environments.view('canary').deploying, { how: 'follow', version: '3' })
    world.gateway.write({ ...policy, variants: { ...policy.variants, candidate: { endpoints: [] } } })
    t.match(await lifecycle.settle('canary'), { current: { version: '2' }, health: 'healthy' })
    t.match(await lifecycle.registry.aliases('food11'), { canary: '2' })
  },
)
