import t from 'tap'
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
    message: /"food11-v2" is under way on route food11; abort it first, or ask with supersede/,
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
