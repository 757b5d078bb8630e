import t, { type Test } from 'tap'
import { history } from '../../contract/history.ts'
import { rolloutFile } from '../../contract/rollout.ts'
import { replayRollout } from '../../controller/judge/judge-for.ts'
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

// It once replayed as a canary, which never has anything to decide on.
t.test('its exported history replays under its own rules', async t => {
  for (const [failing, last] of [
    [{}, { action: 'advance' }],
    [{ candidate: 0.4 }, { action: 'withdraw', cause: 'absolute' }],
  ] as const) {
    const { world, control, start } = await started(t)
    const { name } = await start()
    await pass(world, control, { name, seconds: 40, requestsPerSecond: 50, failing })
    const exported = await control.client.evidence(name)
    const replayed = replayRollout(history.parse(exported.history), rolloutFile.parse(exported.rollout).spec)
    t.match(replayed.at(-1), last)
    t.same(replayed.at(-1), (await control.client.rollout(name)).decision)
  }
})

t.test('which model it is must be said', async t => {
  const { start } = await started(t, { model: undefined })
  await t.rejects(start(), {
    code: 'invalid_setting',
    message: /spec\.model: route food11 has no version yet/,
  })
})
