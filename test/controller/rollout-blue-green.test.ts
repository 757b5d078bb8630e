import t, { type Test } from 'tap'
import { pass, rolloutOf, startControl, startWorld } from './control.ts'

const analysis = { interval: '1s', settle: '2s', watch: '30s' }

async function started(t: Test, blueGreen: object = {}, settings: object = {}) {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const strategy = { blueGreen: { record: '10s', ...blueGreen } }
  const { name } = await control.client.startRollout(rolloutOf({ strategy, analysis, ...settings }))
  const seconds = (seconds: number, failing: Record<string, number> = {}) =>
    pass(world, control, { name, seconds, requestsPerSecond: 50, failing })
  return { world, control, name, seconds, status: () => control.client.rollout(name) }
}

t.test('green waits beside blue, takes all traffic in one policy, is watched and becomes stable', async t => {
  const { world, seconds, status } = await started(t)
  const [blue] = world.gateway.policy().variants['stable']?.endpoints ?? []
  await seconds(8)
  t.match(await status(), {
    strategy: 'blueGreen',
    phase: 'Progressing',
    weight: 0,
    step: { name: 'record' },
  })
  const writesBefore = world.gateway.writes()
  await seconds(5)
  t.match(world.gateway.policy().weights, { stable: 0, candidate: 100 })
  t.equal(world.gateway.writes(), writesBefore + 1, 'one switch')
  t.same(world.gateway.policy().variants['stable']?.endpoints, [blue], 'blue is kept')
  await seconds(20)
  t.match(await status(), {
    phase: 'Progressing',
    step: { name: 'watch' },
    message: /^watching, \d+ s left; compared with \d+ requests to stable before the switch$/,
  })
  await seconds(15)
  t.match(await status(), { phase: 'Promoted' })
  t.match(world.gateway.policy().weights, { stable: 100, candidate: 0 })
  t.same(world.gateway.policy().variants['candidate']?.endpoints, [blue], 'and stays warm')
})

t.test('green that fails more often than blue did is switched back in one policy', async t => {
  const { world, seconds, status, control, name } = await started(t)
  await seconds(15, { stable: 0.02 })
  t.equal((await status()).weight, 100)
  const writesBefore = world.gateway.writes()
  await seconds(15, { candidate: 0.2 })
  t.match(await status(), {
    phase: 'RolledBack',
    cause: 'failure',
    message: /fails more often than stable did before the switch/,
  })
  t.equal(world.gateway.writes(), writesBefore + 1)
  t.match(world.gateway.policy().weights, { stable: 100, candidate: 0 })
  const told = (await control.client.audit({ subject: name })).map(({ action }) => action)
  t.ok(told.includes('withdraw'))
})

t.test('green that fails as often as blue did is kept', async t => {
  const { seconds, status } = await started(t)
  await seconds(60, { stable: 0.04, candidate: 0.04 })
  t.match(await status(), { phase: 'Promoted' })
})

t.test('the switch waits for a record that says something', async t => {
  const { world, control, seconds, status, name } = await started(t)
  await pass(world, control, { name, seconds: 20, requestsPerSecond: 3 })
  t.match(await status(), {
    weight: 0,
    message: /^recording stable: 0 s left; \d\d requests so far, 100 needed$/,
  })
  await seconds(4)
  t.equal((await status()).weight, 100)
})

t.test('without a record only the absolute limits apply, and the decision says so', async t => {
  const successRate = { atLeast: 0.95 }
  const { seconds, status } = await started(t, { record: '0s' }, { analysis: { ...analysis, successRate } })
  await seconds(5)
  t.match(await status(), { weight: 100, message: /no version to compare with, so only the absolute/ })
  await seconds(15, { candidate: 0.3 })
  t.match(await status(), { phase: 'RolledBack', cause: 'absolute' })
})

t.test('an abort switches back at once, and the switch can wait for a person', async t => {
  const { world, control, seconds, status, name } = await started(t, { approval: true })
  await seconds(15)
  t.match(await status(), { phase: 'Paused', cause: 'approval', weight: 0 })
  await control.client.act(name, 'approve')
  await seconds(2)
  t.match(world.gateway.policy().weights, { stable: 0, candidate: 100 })
  await control.client.act(name, 'abort')
  await control.tick(name)
  t.match(world.gateway.policy().weights, { stable: 100, candidate: 0 })
  await seconds(1)
  t.match(await status(), { phase: 'Aborted' })
})

t.test('a controller that was replaced during the watch remembers what blue did', async t => {
  const { world, control, seconds, name } = await started(t)
  await seconds(20)
  await control.stop()
  const second = await startControl(t, world)
  await pass(world, second, { name, seconds: 5, requestsPerSecond: 50, failing: { candidate: 0.5 } })
  t.match(await second.client.rollout(name), { cause: 'failure' })
})

t.test('exactly one strategy is asked for', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const both = { canary: { steps: [{ setWeight: 10 }] }, blueGreen: {} }
  for (const strategy of [{}, both])
    await t.rejects(control.client.startRollout(rolloutOf({ strategy })), {
      code: 'invalid_setting',
      message: /spec\.strategy: must be exactly one of canary, blueGreen/,
    })
})
