import t from 'tap'
import { pass, rolloutOf, startControl, startWorld } from './control.ts'

const headerRoute = { header: 'X-Tester', value: 'yes' }

t.test('a header route lets testers in before any weight, and ends with the rollout', async t => {
  for (const end of ['promote', 'abort']) {
    const world = await startWorld(t)
    const control = await startControl(t, world)
    const canary = { steps: [{ headerRoute }, { pause: {} }, { setWeight: 10 }] }
    const { name } = await control.client.startRollout(rolloutOf({ strategy: { canary } }))
    await pass(world, control, { name, seconds: 4, requestsPerSecond: 50 })
    t.match(world.gateway.policy(), {
      weights: { stable: 100, candidate: 0 },
      headerRoutes: [{ header: 'x-tester', value: 'yes', to: 'candidate' }],
    })
    t.match(await control.client.rollout(name), { phase: 'Paused', weight: 0 })
    await control.client.act(name, end)
    await pass(world, control, { name, seconds: 2, requestsPerSecond: 50 })
    t.same(world.gateway.policy().headerRoutes, [], end)
  }
})

t.test("a rollout does not replace the operator's own header routes", async t => {
  const headerRoutes = [{ header: 'x-mine', value: '1', to: 'stable' }]
  const world = await startWorld(t, { headerRoutes })
  const control = await startControl(t, world)
  const canary = { steps: [{ headerRoute }, { setWeight: 10 }] }
  await t.rejects(control.client.startRollout(rolloutOf({ strategy: { canary } })), {
    code: 'conflict',
    message: /has headerRoutes already/,
  })
  const { name } = await control.client.startRollout(rolloutOf())
  await pass(world, control, { name, seconds: 60, requestsPerSecond: 200 })
  t.match(await control.client.rollout(name), { phase: 'Promoted' })
  t.match(world.gateway.policy().headerRoutes, headerRoutes)
})

t.test('an analysis step stays until the excess is ruled out on enough requests', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const analysis = { excess: '4pp', minRequests: 300 }
  const canary = { steps: [{ setWeight: 50 }, { analysis }, { pause: {} }] }
  const { name } = await control.client.startRollout(rolloutOf({ strategy: { canary } }))
  const status = () => control.client.rollout(name)
  await pass(world, control, { name, seconds: 8, requestsPerSecond: 50 })
  t.match(await status(), {
    phase: 'Progressing',
    step: { name: 'analysis' },
    message: /^analysing: excess of 4 pp to be ruled out, \d+ of 300 candidate requests$/,
    outlook: { seconds: Number },
  })
  await pass(world, control, { name, seconds: 20, requestsPerSecond: 50 })
  t.match(await status(), { phase: 'Paused', cause: 'pause-step', weight: 50 })
})
