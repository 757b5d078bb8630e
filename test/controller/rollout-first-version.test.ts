import t, { type Test } from 'tap'
import { pass, rolloutOf, startControl, startWorld } from './control.ts'

const analysis = { interval: '1s', settle: '2s', watch: '20s', successRate: { atLeast: 0.95 } }

async function started(t: Test, spec: object = {}) {
  const nothing = { stable: { endpoints: [] }, candidate: { endpoints: [] } }
  const world = await startWorld(t, { variants: nothing, weights: { stable: 0, candidate: 0 } })
  const control = await startControl(t, world)
  const rollout = rolloutOf({ model: 'food11', analysis, ...spec })
  const start = () => control.client.startRollout(rollout)
  return { world, control, start }
}

t.test('the first version ever has nothing to be compared with, and says so', async t => {
  const { world, control, start } = await started(t)
  const { name } = await start()
  await pass(world, control, { name, seconds: 10, requestsPerSecond: 50 })
  t.match(await control.client.rollout(name), {
    weight: 100,
    versions: { stable: { version: 'none' } },
    message: /no version to compare with, so only the absolute objectives apply/,
  })
  await pass(world, control, { name, seconds: 20, requestsPerSecond: 50 })
  t.match(await control.client.rollout(name), { phase: 'Promoted' })
  t.match(world.gateway.policy().weights, { stable: 100, candidate: 0 })
  t.equal(world.gateway.policy().variants['stable']?.endpoints.length, 1)
})

t.test('a first version that misses its objective is withdrawn, and the route is closed again', async t => {
  const { world, control, start } = await started(t)
  const { name } = await start()
  await pass(world, control, { name, seconds: 15, requestsPerSecond: 50, failing: { candidate: 0.4 } })
  t.match(await control.client.rollout(name), { phase: 'RolledBack', cause: 'absolute' })
  t.match(world.gateway.policy().weights, { stable: 0, candidate: 0 })
})

t.test('which model it is must be said', async t => {
  const { start } = await started(t, { model: undefined })
  await t.rejects(start(), {
    code: 'invalid_setting',
    message: /spec\.model: route food11 has no version yet/,
  })
})
