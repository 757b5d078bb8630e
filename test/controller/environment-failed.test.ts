import t from 'tap'
import type { EnvironmentName } from '../../contract/environment.ts'
import {
  provenInStaging,
  startEnvironmentWorld,
  startLifecycle,
  type LifecycleUnderTest,
} from './environment-world.ts'

// What was found bad is not returned to, whichever of its deployments was seen good once.

type Test = Parameters<typeof startEnvironmentWorld>[0]

const FAILED = { actor: 'pipeline', reason: 'load: p95 was 2400 ms, not below 2000 ms' }

async function begun(t: Test) {
  const world = await startEnvironmentWorld(t)
  const lifecycle = startLifecycle(t, world)
  for (const name of ['production', 'staging', 'canary'] as const) await lifecycle.settle(name)
  return lifecycle
}

/** Brings a version there, seen good; returns its revision. */
async function proven({ environments, settle }: LifecycleUnderTest, to: EnvironmentName, version: string) {
  const from = to === 'staging' ? ('development' as const) : ('staging' as const)
  const asked = { to, from, version, force: true, reason: 'a test', actor: 'ada' }
  const begin = await environments.preparePromote(asked)
  begin()
  const revision = (await settle(to)).current?.revision ?? 0
  environments.markGood(to, revision, 'every gate passed')
  return revision
}

async function rollback({ environments, settle }: LifecycleUnderTest, name: EnvironmentName) {
  const begin = await environments.prepareRollback(name, { actor: 'ada' })
  begin()
  return (await settle(name)).current?.version
}

t.test('a revert returns to no older deployment of a version that failed since', async t => {
  const lifecycle = await begun(t)
  const { environments, settle } = lifecycle
  for (const version of ['1', '2', '3']) await proven(lifecycle, 'staging', version)
  const again = await proven(lifecycle, 'staging', '2')
  environments.revert('staging', { ...FAILED, revision: again })
  const { current } = await settle('staging')
  t.match(current, { version: '3' })
  environments.revert('staging', { ...FAILED, revision: current?.revision ?? 0 })
  t.match(await settle('staging'), { current: { version: '1' } })
})

t.test('what a person left by a rollback is not returned to by the next ones', async t => {
  const lifecycle = await begun(t)
  for (const version of ['2', '3', '2']) await proven(lifecycle, 'production', version)
  t.equal(await rollback(lifecycle, 'production'), '3')
  t.equal(await rollback(lifecycle, 'production'), '1')
})

t.test('a version that failed elsewhere since is none that production is rolled back to', async t => {
  const lifecycle = await begun(t)
  for (const version of ['2', '3']) await proven(lifecycle, 'production', version)
  await provenInStaging(lifecycle, '1')
  const revision = await proven(lifecycle, 'staging', '2')
  lifecycle.environments.revert('staging', { ...FAILED, revision })
  await lifecycle.settle('staging')
  t.match(await lifecycle.registry.get('food11', '2'), { failed: FAILED.reason })
  t.equal(await rollback(lifecycle, 'production'), '1')
  t.match(
    lifecycle.environments.view('production').history.find(({ version }) => version === '2'),
    { failure: `failed in staging: ${FAILED.reason}` },
    'its history says why',
  )
})

// Its alias led to a failed version then, and nothing could be promoted in its place as it was.
t.test('what production runs is not called failed because of what it does in staging', async t => {
  const lifecycle = await begun(t)
  await proven(lifecycle, 'production', '2')
  await provenInStaging(lifecycle, '1')
  const revision = await proven(lifecycle, 'staging', '2')
  t.equal(lifecycle.environments.revert('staging', { ...FAILED, revision }), 'reverting')
  t.match(await lifecycle.settle('staging'), { current: { version: '1', good: true } })
  t.match(await lifecycle.registry.get('food11', '2'), { failed: null })
  t.equal(lifecycle.environments.deployed('staging', revision).reverted, true)
  t.match(await lifecycle.registry.aliases('food11'), { production: '2', staging: '1' })
  t.match(lifecycle.environments.view('production'), { current: { version: '2', good: true } })
  const told = lifecycle.audit
    .list({ subject: 'environment/staging' })
    .filter(({ action }) => action === 'not-marked')
  t.equal(told.length, 1)
  t.match(told[0]?.reason, /version 2 .* production runs it/)

  await proven(lifecycle, 'production', '3')
  t.equal(await rollback(lifecycle, 'production'), '2', 'it was good there')
})
