import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { digestOf, provenInStaging, startEnvironmentWorld, startLifecycle } from './environment-world.ts'

// What the registry is told of a version that failed in an environment.

const FAILED = { actor: 'pipeline', reason: 'load: p95 was 2400 ms, not below 2000 ms' }
const BY_HAND = { actor: 'ada', reason: 'by hand' }

/** Production runs 1, canary 2, staging 3 after 1. */
async function begun(t: Test) {
  const world = await startEnvironmentWorld(t)
  const lifecycle = startLifecycle(t, world)
  const { environments, settle, registry } = lifecycle
  for (const name of ['production', 'staging', 'canary'] as const) await settle(name)
  const deploy = async (to: 'staging' | 'canary', version: string) => {
    const from = to === 'canary' ? 'staging' : 'development'
    const order = { to, from, version, force: true, reason: 'a test', actor: 'ada' } as const
    const begin = await environments.preparePromote(order)
    begin()
    return (await settle(to)).current?.revision ?? 0
  }
  await provenInStaging(lifecycle, '1')
  await deploy('canary', '2')
  const revision = await deploy('staging', '3')
  return { world, lifecycle, registry, revision }
}

t.test('no alias leads to a version that failed, whoever moved it there', async t => {
  const { lifecycle, registry, revision } = await begun(t)
  for (const alias of ['development', 'canary', 'production'] as const)
    await registry.setAlias('food11', alias, '3', BY_HAND)
  lifecycle.environments.revert('staging', { ...FAILED, revision })
  await lifecycle.settle('staging')
  t.match(await registry.get('food11', '3'), { failed: FAILED.reason })
  const aliases = await registry.aliases('food11')
  t.same(aliases, { staging: '1', canary: '2', production: '1' }, 'each is what its environment runs')
  t.match(
    lifecycle.audit
      .list()
      .find(({ action, evidence }) => action === 'set-alias' && isOf('production', evidence)),
    { reason: FAILED.reason, evidence: { alias: 'production', before: '3', after: '1' } },
  )
})

function isOf(alias: string, evidence: unknown): boolean {
  return (evidence as { alias?: unknown }).alias === alias
}

t.test('an alias whose environment runs nothing that is registered is taken away', async t => {
  const { world, lifecycle, registry, revision } = await begun(t)
  await registry.setAlias('food11', 'canary', '3', BY_HAND)
  await rm(join(world.stateDir, 'models/food11/2'), { recursive: true })
  lifecycle.environments.revert('staging', { ...FAILED, revision })
  await lifecycle.settle('staging')
  t.same(await registry.aliases('food11'), { staging: '1', production: '1' })
})

t.test('a version that was removed from the registry meanwhile is told to nobody, once', async t => {
  const { world, lifecycle, revision } = await begun(t)
  await rm(join(world.stateDir, 'models/food11/3'), { recursive: true })
  lifecycle.environments.revert('staging', { ...FAILED, revision })
  t.match(await lifecycle.settle('staging'), { current: { version: '1' } })
  await lifecycle.look('staging') // would fail again and again
  t.notOk(lifecycle.audit.list().some(({ action }) => action === 'mark-failed'))
})

t.test('other content that has the number by now is not called failed', async t => {
  const { world, lifecycle, registry, revision } = await begun(t)
  const path = join(world.stateDir, 'models/food11/3/model.json')
  const manifest = JSON.parse(await readFile(path, 'utf8')) as object
  await writeFile(path, JSON.stringify({ ...manifest, digest: digestOf('another') }))
  lifecycle.environments.revert('staging', { ...FAILED, revision })
  await lifecycle.settle('staging')
  t.match(await registry.get('food11', '3'), { digest: digestOf('another'), failed: null })
})
