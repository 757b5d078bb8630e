import t, { type Test } from 'tap'
import type { HookPayload } from '../../contract/webhook.ts'
import { pass, rolloutOf, SECRET, startControl, startWorld, type Control, type World } from './control.ts'
import { isSigned, startReceiver, type Received } from './receiver.ts'

const STEPS = [{ setWeight: 10 }, { setWeight: 50 }, { approval: {} }]

function rolloutWith(webhooks: readonly object[], spec: object = {}): object {
  const analysis = { interval: '1s', settle: '2s', webhooks }
  return rolloutOf({ strategy: { canary: { steps: STEPS } }, analysis, ...spec })
}

/** Seconds with traffic, and the outbox emptied after each look. */
async function live(world: World, control: Control, { name, seconds }: { name: string; seconds: number }) {
  for (let second = 0; second < seconds; second++) {
    await pass(world, control, { name, seconds: 1, requestsPerSecond: 20 })
    await control.deliver()
  }
}

function payloadOf({ body }: Received): HookPayload {
  return body as HookPayload
}

async function begin(t: Test, webhooks: (url: string) => readonly object[], spec: object = {}) {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const receiver = await startReceiver(t)
  const { name } = await control.client.startRollout(rolloutWith(webhooks(receiver.url), spec))
  return { world, control, receiver, name }
}

t.test('confirm-rollout is asked before anything is deployed, until it says yes', async t => {
  const { world, control, receiver, name } = await begin(t, url => [
    { name: 'release-board', type: 'confirm-rollout', url: `${url}/gate`, metadata: { team: 'food' } },
  ])
  receiver.usually = 403
  await live(world, control, { name, seconds: 150 })
  t.same(world.runtime.list(), [], 'nothing was started')
  t.match(await control.client.rollout(name), { phase: 'Pending', weight: 0 })
  const { sentences } = await control.client.explain(name)
  t.match(
    sentences[0],
    /^waiting for the webhook "release-board" \(confirm-rollout\) before the start; it did not say yes: .* answered 403 not yet$/,
  )
  t.ok(receiver.got.length > 10 && receiver.got.length < 60, `${receiver.got.length} times, with backoff`)
  t.equal(new Set(receiver.got.map(({ id }) => id)).size, 1, 'one question')
  t.match(receiver.got.map(payloadOf)[0], {
    name,
    namespace: 'default',
    phase: 'Pending',
    checksum: 'sha256:two',
    metadata: { route: 'food11', model: 'food11', version: '2', before: 'the start', team: 'food' },
  })
  t.ok(receiver.got.every(message => isSigned(message, SECRET)))

  receiver.usually = 200
  await live(world, control, { name, seconds: 20 })
  t.match(await control.client.rollout(name), { weight: 50 }, 'the time to become ready counts from the yes')
})

t.test('pre-rollout is asked when the candidate is ready and has had no request', async t => {
  const { world, control, receiver, name } = await begin(t, url => [
    { name: 'smoke', type: 'pre-rollout', url },
  ])
  receiver.usually = 500
  await live(world, control, { name, seconds: 10 })
  t.equal(world.runtime.list().length, 1, 'the candidate runs')
  t.equal(world.gateway.counts('candidate').assigned, 0)
  receiver.usually = 200
  await live(world, control, { name, seconds: 15 })
  t.match(await control.client.rollout(name), { weight: 50 })
})

t.test('each increase and the promotion wait for their own confirmation', async t => {
  const { world, control, receiver, name } = await begin(
    t,
    url => [
      { name: 'wider', type: 'confirm-traffic-increase', url: `${url}/wider` },
      { name: 'last', type: 'confirm-promotion', url: `${url}/last` },
    ],
    { strategy: { canary: { steps: [{ setWeight: 10 }, { setWeight: 50 }] } } },
  )
  receiver.usually = 403
  await live(world, control, { name, seconds: 5 })
  t.match(await control.client.rollout(name), { weight: 0, phase: 'Progressing' })
  receiver.plan.push(200) // one yes, to the first question
  await live(world, control, { name, seconds: 15 })
  t.match(await control.client.rollout(name), { weight: 10 })
  receiver.plan.push(200)
  await live(world, control, { name, seconds: 15 })
  t.match(await control.client.rollout(name), { weight: 50, phase: 'Progressing' })
  t.match(
    (await control.client.explain(name)).sentences[0],
    /"last" \(confirm-promotion\) before the promotion/,
  )
  receiver.plan.push(200)
  await live(world, control, { name, seconds: 15 })
  t.match(await control.client.rollout(name), { phase: 'Promoted' })
  const asked = new Map(
    receiver.got.map(({ id, path, body }) => [id, [path, (body as HookPayload).metadata['nextWeight']]]),
  )
  t.same(
    [...asked.values()],
    [
      ['/wider', '10'],
      ['/wider', '50'],
      ['/last', '100'],
    ],
  )
})

t.test('an abort does not wait for a gate, and ends its question', async t => {
  const { world, control, receiver, name } = await begin(t, url => [
    { name: 'wider', type: 'confirm-traffic-increase', url },
  ])
  receiver.usually = 403
  await live(world, control, { name, seconds: 5 })
  await control.client.act(name, 'abort')
  await live(world, control, { name, seconds: 2 })
  t.match(await control.client.rollout(name), { phase: 'Aborted' })
  t.match((await control.client.explain(name)).sentences[0], /^Aborted/)
  const before = receiver.got.length
  world.clock.forward(3_600_000)
  await control.deliver()
  t.equal(receiver.got.length, before)
})

t.test('a candidate that fails is withdrawn although a gate is closed', async t => {
  const { world, control, receiver, name } = await begin(t, url => [
    { name: 'last', type: 'confirm-traffic-increase', url },
  ])
  receiver.plan.push(200)
  receiver.usually = 403
  for (let second = 0; second < 60; second++) {
    await pass(world, control, { name, seconds: 1, requestsPerSecond: 50, failing: { candidate: 0.5 } })
    await control.deliver()
  }
  t.match(await control.client.rollout(name), { phase: 'RolledBack', cause: 'failure' })
})

t.test('a yes is remembered by the next controller, and a wait goes on', async t => {
  const { world, control, receiver, name } = await begin(t, url => [
    { name: 'wider', type: 'confirm-traffic-increase', url },
  ])
  receiver.usually = 403
  await live(world, control, { name, seconds: 5 })
  receiver.usually = 200
  world.clock.forward(10_000)
  await control.deliver() // the yes is in the store, no look has seen it
  await control.stop()
  receiver.usually = 500
  const asked = receiver.got.length
  const second = await startControl(t, world)
  await live(world, second, { name, seconds: 3 })
  t.match(await second.client.rollout(name), { weight: 10 }, 'the yes counts')
  t.equal(
    receiver.got.slice(asked).filter(({ body }) => (body as HookPayload).metadata['nextWeight'] === '10')
      .length,
    0,
  )
  await second.stop()
  const third = await startControl(t, world)
  t.match((await third.client.explain(name)).sentences[0], /"wider" \(confirm-traffic-increase\) before 50 %/)
})

t.test('a rollout webhook that says no holds; one that says yes again lets go on', async t => {
  const { world, control, receiver, name } = await begin(t, url => [
    { name: 'load-test', type: 'rollout', url },
  ])
  receiver.usually = 500
  await live(world, control, { name, seconds: 10 })
  t.match(await control.client.rollout(name), { weight: 0, phase: 'Progressing' })
  t.match((await control.client.explain(name)).sentences[0], /"load-test" \(rollout\) before 10 %/)
  receiver.usually = 200
  await live(world, control, { name, seconds: 10 })
  t.match(await control.client.rollout(name), { weight: 50 })
  t.ok(receiver.got.length >= 15, 'at each look')
})

t.test('a yes at a look from before the controller was away counts no longer', async t => {
  const steps = [{ setWeight: 10 }, { pause: { duration: '20s' } }, { setWeight: 50 }, { approval: {} }]
  const world = await startWorld(t)
  const first = await startControl(t, world)
  const receiver = await startReceiver(t)
  const webhooks = [{ name: 'load-test', type: 'rollout', url: receiver.url }]
  const analysis = { interval: '1s', settle: '2s', advance: 'time', minRequests: 1, webhooks }
  const { name } = await first.client.startRollout(rolloutOf({ strategy: { canary: { steps } }, analysis }))
  await live(world, first, { name, seconds: 10 })
  t.match(await first.client.rollout(name), { weight: 10, cause: 'pause-step' })
  await first.stop()
  receiver.usually = 500
  world.clock.forward(600_000)
  const second = await startControl(t, world)
  await live(world, second, { name, seconds: 10 })
  t.match(await second.client.rollout(name), { weight: 10 })
  receiver.usually = 200
  await live(world, second, { name, seconds: 5 })
  t.match(await second.client.rollout(name), { weight: 50 })
})

t.test('an increase that somebody took back is asked for again', async t => {
  const steps = [{ setWeight: 10 }, { ramp: { riskBudget: '50pp', to: 95 } }]
  const { world, control, receiver, name } = await begin(
    t,
    url => [{ name: 'wider', type: 'confirm-traffic-increase', url }],
    { strategy: { canary: { steps } } },
  )
  const until25 = async () => {
    for (let second = 0; second < 60; second++) {
      await pass(world, control, { name, seconds: 1, requestsPerSecond: 1000 })
      await control.deliver()
      if (world.gateway.policy().weights['candidate'] === 25) return
    }
  }
  await until25()
  world.gateway.write({ weights: { stable: 90, candidate: 10 } })
  await live(world, control, { name, seconds: 1 })
  await control.client.act(name, 'resume')
  await until25()
  const asked = receiver.got.map(({ body }) => (body as HookPayload).metadata['nextWeight'])
  t.same(asked, ['10', '25', '25'])
})

t.test('a rollback webhook that says yes withdraws', async t => {
  const { world, control, receiver, name } = await begin(t, url => [
    { name: 'panic-button', type: 'rollback', url },
  ])
  receiver.usually = 404
  await live(world, control, { name, seconds: 10 })
  t.match(await control.client.rollout(name), { weight: 50 })
  receiver.usually = 200
  await live(world, control, { name, seconds: 4 })
  t.match(await control.client.rollout(name), {
    phase: 'RolledBack',
    cause: 'hook',
    message: 'webhook panic-button asked for it',
  })
  const before = receiver.got.length
  await live(world, control, { name, seconds: 10 })
  t.equal(receiver.got.length, before, 'it is not asked any more')
})

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
    metadata: { eventType: 'Warning', eventMessage: 'aborted by ada', weight: '0' },
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
