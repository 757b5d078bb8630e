import t, { type Test } from 'tap'
import { pass, rolloutOf, startControl, startWorld } from './control.ts'

const canary = { steps: [{ mirror: { percent: 20 } }, { setWeight: 50 }, { pause: {} }] }

t.test('a second rollout on a route is refused, and supersedes the first when asked', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const first = await control.client.startRollout(rolloutOf({ strategy: { canary } }))
  await pass(world, control, { name: first.name, seconds: 5, requestsPerSecond: 50 })
  t.match(world.gateway.policy(), { weights: { candidate: 50 }, mirror: { percent: 20 } })
  await t.rejects(control.client.startRollout(rolloutOf()), {
    code: 'conflict',
    message:
      /"food11-v2" is under way on route food11; abort it first \(weir rollout abort food11-v2\), or ask with supersede \(--supersede\)$/,
  })

  const second = await control.client.startRollout(rolloutOf({ supersede: true }))
  t.match(await control.client.rollout(first.name), {
    phase: 'Superseded',
    cause: 'superseded',
    message: 'superseded by food11-v2-2',
    weight: 0,
  })
  await control.tick(second.name)
  t.match(world.gateway.policy(), { weights: { stable: 100, candidate: 0 }, mirror: { percent: 0 } })
  t.match((await control.client.audit({ subject: first.name }))[0], { action: 'superseded', actor: 'ada' })
  t.same(
    world.runtime.list().map(({ id }) => id),
    ['food11-v2-2.candidate'],
    'its process goes, the newer one has its own',
  )
  await pass(world, control, { name: second.name, seconds: 60, requestsPerSecond: 200 })
  t.match(await control.client.rollout(second.name), { phase: 'Promoted' })
})

t.test('one that is ending already is not superseded', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const { name } = await control.client.startRollout(rolloutOf({ strategy: { canary } }))
  await pass(world, control, { name, seconds: 5, requestsPerSecond: 50 })
  await control.client.act(name, 'promote')
  await t.rejects(control.client.startRollout(rolloutOf({ supersede: true })), {
    code: 'conflict',
    message: /already Promoting/,
  })
})

const UNREGISTERED = { registeredAt: null, registeredBy: null, failed: null }

/** Version 2 is the candidate already, with one process, where all of the traffic takes four. */
async function startWithWarm(t: Test) {
  const world = await startWorld(t, {}, { processes: 4 })
  const control = await startControl(t, world)
  const version = { model: 'food11', version: '2', digest: 'sha256:two', ...UNREGISTERED }
  const { endpoints } = await world.runtime.deploy({ id: 'warm', version })
  world.gateway.write({ variants: { candidate: { endpoints } } })
  const start = (spec: object) => control.client.startRollout(rolloutOf(spec))
  const { name } = await start({ strategy: { canary: { steps: [{ setWeight: 75 }, { pause: {} }] } } })
  await pass(world, control, { name, seconds: 4, requestsPerSecond: 50 })
  t.same(processes(), { warm: 3 })
  t.equal(world.gateway.policy().variants['candidate']?.endpoints.length, 3)
  return { world, control, start, endpoints, processes }

  function processes() {
    return Object.fromEntries(world.runtime.list().map(({ id, endpoints }) => [id, endpoints.length]))
  }
}

// They ran on for as long as the newer rollout, and after it when that was withdrawn.
t.test('what stays warm goes back to the processes that it had, after its traffic is gone', async t => {
  const { world, control, start, endpoints, processes } = await startWithWarm(t)
  const { name } = await start({ modelVersion: '3', supersede: true })
  t.same(processes(), { warm: 3 }, 'while the policy in force sends them requests')
  await control.tick(name)
  t.match(world.gateway.policy().weights, { stable: 100, candidate: 0 })
  t.match(processes(), { warm: 1 })
  await control.client.act(name, 'abort')
  await pass(world, control, { name, seconds: 2, requestsPerSecond: 50 })
  t.same(world.gateway.policy().variants['candidate']?.endpoints, endpoints)
  t.same(processes(), { warm: 1 })
})

t.test('a third rollout takes them back where the second had no time to', async t => {
  const { control, start, processes } = await startWithWarm(t)
  await start({ modelVersion: '3', supersede: true })
  const { name } = await start({ modelVersion: '3', supersede: true })
  t.match(processes(), { warm: 3 })
  await control.tick(name)
  t.match(processes(), { warm: 1 })
})

// It once left processes to which the policy still sent requests.
t.test('the same version again has as many as its own weight takes', async t => {
  const { world, control, start, processes } = await startWithWarm(t)
  const steps = [{ setWeight: 40 }, { pause: {} }]
  const { name } = await start({ supersede: true, strategy: { canary: { steps } } })
  await pass(world, control, { name, seconds: 4, requestsPerSecond: 50 })
  t.same(processes(), { warm: 2 })
  t.equal(world.gateway.policy().variants['candidate']?.endpoints.length, 2)
})
