import t, { type Test } from 'tap'
import { pass, rolloutOf, SECRET, startControl, startWorld } from './control.ts'
import { live, payloadOf } from './hooked.ts'
import { isSigned, startReceiver } from './receiver.ts'

/** Steps around a webhook that is one itself. */
async function begin(t: Test, settings: object = {}, after: readonly object[] = [{ pause: {} }]) {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const receiver = await startReceiver(t)
  const hook = { url: `${receiver.url}/warm-up?token=secret`, ...settings }
  const canary = { steps: [{ setWeight: 50 }, { hook }, ...after] }
  const { name } = await control.client.startRollout(rolloutOf({ strategy: { canary } }))
  const seconds = (seconds: number) => live(world, control, { name, seconds })
  const status = () => control.client.rollout(name)
  return { world, control, receiver, name, seconds, status }
}

t.test('a hook step is called once its turn has come, and success goes on to the next step', async t => {
  const { world, receiver, name, seconds, status } = await begin(t, { metadata: { team: 'food' } })
  for (let second = 0; receiver.got.length === 0 && second < 20; second++) await seconds(1)
  t.equal(world.gateway.policy().weights['candidate'], 50, 'what comes before it is in force')
  await seconds(5)
  t.match(await status(), { phase: 'Paused', cause: 'pause-step', weight: 50, step: { index: 2 } })
  t.equal(receiver.got.length, 1)
  t.equal(receiver.got[0]?.path, '/warm-up?token=secret')
  t.match(receiver.got.map(payloadOf)[0], {
    name,
    phase: 'Progressing',
    checksum: 'sha256:two',
    metadata: { hook: 'step-2', type: 'step', step: '2 of 3', weight: '50', team: 'food', version: '2' },
  })
  t.ok(receiver.got.every(message => isSigned(message, SECRET)))
})

t.test('it says what it waits for, without what may be secret of the address', async t => {
  const { receiver, control, name, seconds } = await begin(t)
  receiver.usually = 403
  await seconds(6)
  const { sentences } = await control.client.explain(name)
  t.match(
    sentences[0],
    /^at 50 %: waiting for the webhook of step 2 \(http:\/\/127\.0\.0\.1:\d+\); it did not say yes at attempt \d of 6: .* answered 403 not yet$/,
  )
  t.notMatch(sentences.join(), /secret/)
  receiver.usually = 200
  await seconds(8)
  t.match(await control.client.rollout(name), { cause: 'pause-step' }, 'a later attempt may succeed')
})

t.test('a hook step that fails each time withdraws after its retries, and is asked no more', async t => {
  const { receiver, seconds, status } = await begin(t, { retries: 2, timeout: '3s' })
  receiver.plan.push(500, 'none')
  receiver.usually = 404
  await seconds(20)
  t.match(await status(), {
    phase: 'RolledBack',
    cause: 'hook',
    message: /^the webhook of step 2 \(.*\) did not say yes at 3 attempts: .* answered 404/,
  })
  t.equal(receiver.got.length, 3)
  t.equal(new Set(receiver.got.map(({ id }) => id)).size, 1, 'the same message again')
  await seconds(30)
  t.equal(receiver.got.length, 3)
})

t.test('a hook step that fails withdraws what a person has paused, too', async t => {
  const { control, receiver, name, seconds, status } = await begin(t, { retries: 1 })
  receiver.usually = 500
  for (let second = 0; receiver.got.length === 0 && second < 20; second++) await seconds(1)
  await control.client.act(name, 'pause')
  await seconds(5)
  t.match(await status(), { phase: 'RolledBack', cause: 'hook' })
})

t.test('a person who skips the step ends its question; a later hook step has one of its own', async t => {
  const { control, receiver, name, seconds, status } = await begin(t, { retries: 100 }, [
    { hook: { url: 'http://127.0.0.1:1', retries: 100 } },
  ])
  receiver.usually = 500
  await seconds(6)
  t.match(await status(), { step: { index: 1 } })
  await control.client.act(name, 'skip-step')
  const asked = receiver.got.length
  await seconds(30)
  t.equal(receiver.got.length, asked)
  t.match(await status(), { step: { index: 2 }, message: /^waiting for the webhook of step 3/ })
})

t.test('a yes that no look has seen counts for the next controller, which asks nobody again', async t => {
  const { world, control, receiver, name } = await begin(t)
  for (let second = 0; second < 8; second++)
    await pass(world, control, { name, seconds: 1, requestsPerSecond: 20 })
  t.same(receiver.got, [], 'asked, and not sent')
  await control.deliver()
  await control.stop()
  const second = await startControl(t, world)
  await live(world, second, { name, seconds: 3 })
  t.match(await second.client.rollout(name), { cause: 'pause-step', step: { index: 2 } })
  t.equal(receiver.got.length, 1)
})

t.test('a question that was under way when the controller died is asked again under the same id', async t => {
  const { world, control, receiver, name, seconds } = await begin(t, { timeout: '3s' })
  receiver.plan.push('none')
  for (let second = 0; receiver.got.length === 0 && second < 20; second++) await seconds(1)
  await control.stop()
  const second = await startControl(t, world)
  await live(world, second, { name, seconds: 4 })
  t.match(await second.client.rollout(name), { cause: 'pause-step', step: { index: 2 } })
  t.equal(receiver.got.length, 2)
  t.equal(receiver.got[0]?.id, receiver.got[1]?.id)
})

t.test('settings of a hook step that are unknown or out of bounds are refused by name', async t => {
  const { client } = await startControl(t, await startWorld(t))
  const refused = async (hook: object, message: RegExp) => {
    const canary = { steps: [{ hook }] }
    await t.rejects(client.startRollout(rolloutOf({ strategy: { canary } })), {
      code: 'invalid_setting',
      message,
    })
  }
  await refused({ url: 'file:///etc/passwd' }, /steps\.0\.hook\.url/)
  await refused({ url: 'http://127.0.0.1:1', retries: 101 }, /steps\.0\.hook\.retries/)
  await refused({ url: 'http://127.0.0.1:1', name: 'x' }, /unknown setting ".*steps\.0\.hook\.name"/)
})
