import t, { type Test } from 'tap'
import { pass, rolloutOf, startControl, startWorld } from './control.ts'
import { startReceiver } from './receiver.ts'

async function atHalf(t: Test) {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const strategy = { canary: { steps: [{ setWeight: 50 }, { pause: {} }] } }
  const { name } = await control.client.startRollout(rolloutOf({ strategy }))
  const seconds = (seconds: number, failing: Record<string, number> = {}) =>
    pass(world, control, { name, seconds, requestsPerSecond: 50, failing })
  await seconds(6)
  return { world, control, name, seconds, status: () => control.client.rollout(name) }
}

t.test('a rollback sends no users into an outage: while stable is out it holds and says so', async t => {
  const { world, control, name, seconds, status } = await atHalf(t)
  world.gateway.ejected = { variant: 'stable', failedTrials: 0 }
  await seconds(15, { candidate: 0.4 })
  t.match(await status(), {
    phase: 'Paused',
    weight: 50,
    message: /withdrawn: .*; the traffic stays where it is, because stable is out/,
    warnings: [{ name: 'stable-is-out' }],
  })
  t.match((await control.client.explain(name)).sentences.at(-1), /^warning \(stable-is-out\)/)
  const warned = (await control.client.audit({ subject: name })).filter(({ action }) => action === 'warn')
  t.equal(warned.length, 1)
  world.gateway.ejected = undefined
  await seconds(3)
  t.match(await status(), { phase: 'RolledBack', cause: 'failure', warnings: [] })
})

t.test('an operator who aborts into the outage is obeyed, with the warning', async t => {
  const { world, control, name, seconds } = await atHalf(t)
  world.gateway.ejected = { variant: 'stable', failedTrials: 0 }
  await seconds(2)
  t.match(await control.client.act(name, 'abort'), {
    phase: 'RollingBack',
    message: 'aborted by ada, although stable is out: users are sent into its outage',
  })
  await seconds(2)
  t.match(world.gateway.policy().weights, { stable: 100, candidate: 0 })
})

// A webhook's word once went around the guard, straight to a withdrawal.
t.test('webhooks that ask for a withdrawal, or fail a step, send no users into an outage either', async t => {
  for (const kind of ['rollback', 'step']) {
    const world = await startWorld(t)
    const control = await startControl(t, world)
    const receiver = await startReceiver(t)
    const webhooks = kind === 'rollback' ? [{ name: 'panic', type: 'rollback', url: receiver.url }] : []
    const wait = kind === 'step' ? { hook: { url: 'http://127.0.0.1:1', retries: 1 } } : { pause: {} }
    if (kind === 'rollback') receiver.plan.push(...Array.from({ length: 7 }, () => 404))
    const { name } = await control.client.startRollout(
      rolloutOf({
        strategy: { canary: { steps: [{ setWeight: 50 }, wait] } },
        analysis: { interval: '1s', settle: '2s', webhooks },
      }),
    )
    const second = async () => {
      await pass(world, control, { name, seconds: 1, requestsPerSecond: 50 })
      await control.deliver()
    }
    while ((await control.client.rollout(name)).weight !== 50) await second()
    world.gateway.ejected = { variant: 'stable', failedTrials: 0 }
    for (let n = 0; n < 12; n++) await second()
    t.match(
      await control.client.rollout(name),
      {
        weight: 50,
        message: /(asked for it|did not say yes).*; the traffic stays where it is, because stable is out/,
      },
      kind,
    )
    if (kind === 'rollback') t.ok(receiver.got.length > 7, 'it said yes')
    world.gateway.ejected = undefined
    for (let n = 0; n < 3; n++) await second()
    t.match(await control.client.rollout(name), { phase: 'RolledBack', cause: 'hook' })
  }
})
