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
    message:
      /^analysing: excess of 4 pp to be ruled out; (at most [\d.]+ pp so far; )?\d+ of 300 candidate requests$/,
    outlook: { seconds: Number },
  })
  await pass(world, control, { name, seconds: 20, requestsPerSecond: 50 })
  t.match(await status(), { phase: 'Paused', cause: 'pause-step', weight: 50 })
})

t.test('weights that somebody else sets during a pause are recorded as the pause that they make', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const canary = { steps: [{ setWeight: 10 }, { pause: {} }] }
  const { name } = await control.client.startRollout(rolloutOf({ strategy: { canary } }))
  await pass(world, control, { name, seconds: 4, requestsPerSecond: 50 })
  world.gateway.write({ weights: { stable: 70, candidate: 30 } })
  await pass(world, control, { name, seconds: 2, requestsPerSecond: 50 })
  const told = await control.client.audit({ subject: name })
  t.match(
    told.find(({ reason }) => reason.includes('written by somebody else')),
    { action: 'pause', actor: 'controller' },
  )
})

t.test('steps that would wait for what cannot come are refused before anything starts', async t => {
  const control = await startControl(t, await startWorld(t))
  const whyNot = (steps: readonly object[], more: object = {}) =>
    control.client.startRollout(rolloutOf({ strategy: { canary: { steps } }, ...more })).then(
      () => 'it started',
      (error: { code: string; message: string }) => `${error.code} ${error.message}`,
    )
  t.match(
    await whyNot([{ setWeight: 50 }, { ramp: { to: 25 } }]),
    'invalid_setting spec.strategy.canary.steps.1.ramp.to: 25 % is not above the 50 % that are set before',
  )
  t.match(await whyNot([{ ramp: { to: 0 } }]), /steps\.0\.ramp\.to: 0 % is not above/)
  t.match(
    await whyNot([{ analysis: { minRequests: 10 } }]),
    /steps\.0\.analysis: at 0 % one version has no traffic/,
  )
  t.match(await whyNot([{ setWeight: 100 }, { analysis: {} }]), /steps\.1\.analysis: at 100 % one version/)
  t.match(
    await whyNot([{ setWeight: 10 }, { analysis: { excess: '20pp' } }]),
    /steps\.1\.analysis\.excess: must be at most 5pp/,
  )
  t.match(
    await whyNot([{ setWeight: 10 }], { model: 'other' }),
    /spec\.model: stable of route food11 is food11, not other/,
  )
  t.same((await control.client.rollouts()).length, 0)
})

// They waited for evidence until the deadline, and a good version that had all users was rolled back.
for (const [what, steps, analysis] of [
  ['a pause', [{ setWeight: 100 }, { pause: { duration: '5s' } }], {}],
  ['a pause by the clock', [{ setWeight: 100 }, { pause: { duration: '5s' } }], { advance: 'time' }],
  ['a ramp', [{ setWeight: 50 }, { ramp: { to: 100, riskBudget: '2pp' } }], {}],
] as const) {
  t.test(`${what} at 100 % waits for no evidence, since there is nothing to compare with`, async t => {
    const world = await startWorld(t)
    const control = await startControl(t, world)
    const { name } = await control.client.startRollout(
      rolloutOf({ strategy: { canary: { steps } }, analysis: { interval: '1s', settle: '2s', ...analysis } }),
    )
    await pass(world, control, { name, seconds: 60, requestsPerSecond: 100 })
    const { phase, message, expectation } = await control.client.rollout(name)
    t.equal(phase, 'Promoted', message)
    t.ok(expectation?.seconds, 'which was foreseen')
  })
}
