import t from 'tap'
import type { HookPayload } from '../../contract/webhook.ts'
import { pass, rolloutOf, SECRET, startControl, startWorld } from './control.ts'
import { begin, live, payloadOf } from './hooked.ts'
import { isSigned, startReceiver } from './receiver.ts'

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
