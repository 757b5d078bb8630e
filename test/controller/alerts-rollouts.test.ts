import t, { type Test } from 'tap'
import { deliverAll, startReceivers } from './alerting.ts'
import { pass, rolloutOf, startControl, startWorld } from './control.ts'
import type { Receiver } from './receiver.ts'

async function rolloutWorld(t: Test, spec: object = {}) {
  const receivers = await startReceivers(t)
  const world = await startWorld(t)
  const control = await startControl(t, world, undefined, receivers.yaml)
  const steps = [{ setWeight: 50 }, { pause: {} }]
  const { name } = await control.client.startRollout(rolloutOf({ strategy: { canary: { steps } }, ...spec }))
  const told = () => [...namesOf(receivers.webhook)]
  return { ...receivers, world, control, name, told }
}

function namesOf({ got }: Receiver): string[] {
  return got.map(({ body }) => {
    const { alert, status } = body as { alert: string; status: string }
    return `${alert} ${status}`
  })
}

t.test(
  'a withdrawal and a promotion are told once each; only the first is Alertmanager’s business',
  async t => {
    const { world, control, name, told, alertmanager, slack } = await rolloutWorld(t)
    const failing = { failing: { candidate: 0.5 } }
    await pass(world, control, { name, seconds: 20, requestsPerSecond: 50, ...failing })
    await deliverAll(control)
    t.match(await control.client.rollout(name), { phase: 'RolledBack' })
    t.same(told(), ['WeirRolloutWithdrawn event'])
    t.match(slack.got[0]?.body, {
      text: /^\[WARNING\] WeirRolloutWithdrawn: rollout food11-v2 withdrawn \(failure\): .*rollout=food11-v2, route=food11/,
    })
    const next = await control.client.startRollout(
      rolloutOf({ strategy: { canary: { steps: [{ setWeight: 50 }] } } }),
    )
    await pass(world, control, { name: next.name, seconds: 10, requestsPerSecond: 50 })
    await deliverAll(control)
    t.match(await control.client.rollout(next.name), { phase: 'Promoted' })
    t.same(told(), ['WeirRolloutWithdrawn event', 'WeirRolloutPromoted event'])
    t.equal(alertmanager.got.length, 1)
  },
)

t.test('a pause that nobody planned is an alert until somebody resumes; a planned one is none', async t => {
  const { world, control, name, told } = await rolloutWorld(t)
  await pass(world, control, { name, seconds: 8, requestsPerSecond: 20 })
  t.match(await control.client.rollout(name), { phase: 'Paused', cause: 'pause-step' })
  await deliverAll(control)
  t.same(told(), [])
  world.gateway.write({ weights: { stable: 90, candidate: 10 } })
  await pass(world, control, { name, seconds: 5, requestsPerSecond: 20 })
  t.match(await control.client.rollout(name), { phase: 'Paused', cause: 'manual-change' })
  await deliverAll(control)
  t.same(told(), ['WeirRolloutPaused firing'])
  await control.client.act(name, 'resume')
  await pass(world, control, { name, seconds: 5, requestsPerSecond: 20 })
  await deliverAll(control)
  t.same(told(), ['WeirRolloutPaused firing', 'WeirRolloutPaused resolved'])
})

t.test('a deadline that pauses is an alert, and an abort resolves it', async t => {
  const { world, control, name, told } = await rolloutWorld(t, { onDeadline: { after: '10s', do: 'pause' } })
  await pass(world, control, { name, seconds: 15, requestsPerSecond: 20 })
  await deliverAll(control)
  t.match(await control.client.rollout(name), { cause: 'deadline' })
  t.same(told(), ['WeirRolloutPaused firing'])
  await control.client.act(name, 'pause')
  await pass(world, control, { name, seconds: 2, requestsPerSecond: 20 })
  await deliverAll(control)
  t.match(await control.client.rollout(name), { phase: 'Paused', cause: 'deadline' })
  t.same(told(), ['WeirRolloutPaused firing'], 'somebody who pauses it raises no second one')
  await control.client.act(name, 'abort')
  await pass(world, control, { name, seconds: 2, requestsPerSecond: 20 })
  await deliverAll(control)
  t.same(told(), ['WeirRolloutPaused firing', 'WeirRolloutPaused resolved', 'WeirRolloutWithdrawn event'])
})

t.test('metrics of the team’s own that cannot be measured are an alert', async t => {
  const { webhook, yaml } = await startReceivers(t)
  const world = await startWorld(t)
  const control = await startControl(t, world, 'http://127.0.0.1:1', yaml)
  const metrics = [{ name: 'gpu', query: 'up', successCondition: 'result > 0', consecutiveErrorLimit: 2 }]
  const analysis = { interval: '1s', settle: '2s', metrics }
  const { name } = await control.client.startRollout(rolloutOf({ analysis }))
  await pass(world, control, { name, seconds: 12, requestsPerSecond: 20 })
  await deliverAll(control)
  t.match(await control.client.rollout(name), { phase: 'Paused', cause: 'metric-error' })
  t.same(namesOf(webhook), ['WeirRolloutPaused firing'])
})
