import t from 'tap'
import { pass, SECRET, startControl, startWorld } from './control.ts'
import { begin, live, payloadOf, rolloutWith } from './hooked.ts'
import { isSigned, startReceiver, type Received } from './receiver.ts'

t.test('every decision is an event, told once and in order', async t => {
  const { world, control, receiver, name } = await begin(t, url => [
    { name: 'chat', type: 'event', url: `${url}/event` },
    { name: 'report', type: 'post-rollout', url: `${url}/post` },
  ])
  await live(world, control, { name, seconds: 10 })
  await control.client.act(name, 'abort', { reason: 'enough' })
  await live(world, control, { name, seconds: 3 })
  const events = receiver.got.filter(({ path }) => path === '/event').map(payloadOf)
  t.same(
    events.map(({ metadata }) => metadata['action']),
    ['start', 'progress', 'set-weight', 'set-weight', 'pause', 'expect', 'withdraw', 'aborted'],
  )
  t.match(events.at(-2), {
    phase: 'RollingBack',
    metadata: { eventType: 'Warning', eventMessage: 'withdraw: aborted by ada', weight: '0' },
  })
  t.match(receiver.got.filter(({ path }) => path === '/post').map(payloadOf), [
    { phase: 'Aborted', checksum: 'sha256:two' },
  ])
  t.equal(new Set(receiver.got.map(({ id }) => id)).size, receiver.got.length)
})

t.test('a receiver that is down gets everything later, once, in order; others do not wait', async t => {
  const other = await startReceiver(t)
  const { world, control, receiver, name } = await begin(t, url => [
    { name: 'down', type: 'event', url },
    { name: 'up', type: 'event', url: other.url },
  ])
  await receiver.down()
  await live(world, control, { name, seconds: 10 })
  t.ok(other.got.length >= 5)
  await receiver.up()
  for (let n = 0; n < 20; n++) {
    world.clock.forward(300_000)
    await control.deliver()
  }
  const actions = (got: readonly Received[]) => got.map(one => payloadOf(one).metadata['action'])
  t.same(actions(receiver.got), actions(other.got))
})

t.test('500 then ok, and silence then ok, are the same message again', async t => {
  const { world, control, receiver } = await begin(t, url => [
    { name: 'slow', type: 'event', url, timeout: '200ms' },
  ])
  receiver.plan.push(500, 'none')
  for (let n = 0; n < 3; n++) {
    await control.deliver()
    world.clock.forward(10_000)
  }
  t.equal(receiver.got.length, 3)
  t.equal(new Set(receiver.got.map(({ id }) => id)).size, 1)
  t.equal(
    new Set(receiver.got.map(({ headers }) => headers['webhook-timestamp'])).size,
    3,
    'each signed anew',
  )
  t.ok(receiver.got.every(message => isSigned(message, SECRET)))
})

t.test('what was decided before the controller ended is told by the next one', async t => {
  const { world, control, receiver, name } = await begin(t, url => [{ name: 'chat', type: 'event', url }])
  await pass(world, control, { name, seconds: 5, requestsPerSecond: 20 }) // decided, nothing sent
  t.same(receiver.got, [])
  await control.stop()
  const second = await startControl(t, world)
  for (let n = 0; n < 10; n++) await second.deliver()
  t.same(
    receiver.got.map(one => payloadOf(one).metadata['action']),
    ['start', 'progress', 'set-weight', 'set-weight', 'pause'],
  )
})

t.test('webhooks with unknown settings, types or names that are taken are refused by name', async t => {
  const world = await startWorld(t)
  const { client } = await startControl(t, world)
  const hook = { name: 'chat', type: 'event', url: 'http://127.0.0.1:1' }
  const refused = async (webhooks: readonly object[], message: RegExp) =>
    t.rejects(client.startRollout(rolloutWith(webhooks)), { code: 'invalid_setting', message })
  await refused([{ ...hook, retries: 3 }], /unknown setting "spec\.analysis\.webhooks\.0\.retries"/)
  await refused([{ ...hook, type: 'confirm' }], /spec\.analysis\.webhooks\.0\.type/)
  await refused([{ ...hook, url: 'file:///etc/passwd' }], /spec\.analysis\.webhooks\.0\.url/)
  await refused([hook, hook], /spec\.analysis\.webhooks: names must differ/)
})
