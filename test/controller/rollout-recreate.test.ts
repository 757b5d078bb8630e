import t, { type Test } from 'tap'
import type { Runtime } from '../../controller/runtime/runtime.ts'
import { deliverAll } from './alerting.ts'
import { pass, rolloutOf, startControl, startWorld } from './control.ts'
import { payloadOf } from './hooked.ts'
import { startReceiver } from './receiver.ts'

const analysis = { interval: '1s', settle: '2s', watch: '20s', successRate: { atLeast: 0.95 } }

/** One process at a time fits: a second one, while another runs, is an error of the test. Each takes three questions to stop. */
function tightRuntime(
  initial: { endpoint: string; digest: string },
  candidate: { endpoint: string; digest: string },
  onStop: () => void,
) {
  const seen: string[] = []
  let running: { id: string; endpoint: string; digest: string } | undefined = { id: 'food11-v1', ...initial }
  let stopping = 0
  let drilled: string | undefined
  const runtime: Runtime = {
    async deploy({ id, version }) {
      if (running?.id === id) return { endpoints: [running.endpoint] }
      if (running !== undefined) throw new Error(`${id} does not fit beside ${running.id}`)
      const place = version.version === '1' ? initial : candidate
      running = { id, endpoint: place.endpoint, digest: drilled ?? place.digest }
      seen.push(`start ${id}`)
      return { endpoints: [running.endpoint] }
    },
    async status(id) {
      if (stopping > 0 && --stopping === 0) running = undefined
      if (running?.id !== id) return { kind: 'absent' }
      return { kind: 'ready', endpoints: [running.endpoint], digest: running.digest }
    },
    async scale() {},
    limitMemory: () => {},
    list: () => [],
    at: endpoint =>
      running?.endpoint === endpoint
        ? { id: running.id, model: 'food11', version: '1', endpoints: [endpoint], drilled: false }
        : undefined,
    stop(id) {
      if (running?.id !== id || stopping > 0) return
      seen.push(`stop ${id}`)
      onStop()
      stopping = 3
    },
    logs: async () => ({ items: [], cursor: '' }),
    supervise: async () => {},
    stopAll: async () => {},
  }
  return { runtime, seen, answerWith: (digest: string) => void (drilled = digest) }
}

async function started(
  t: Test,
  recreate: object = {},
  { webhooks = [], alerts = '' }: { webhooks?: readonly object[]; alerts?: string } = {},
) {
  const plain = await startWorld(t)
  const [stable = ''] = plain.gateway.policy().variants['stable']?.endpoints ?? []
  const weightsAtStop: object[] = []
  const tight = tightRuntime(
    { endpoint: stable, digest: 'sha256:one' },
    { endpoint: 'http://127.0.0.1:1', digest: 'sha256:two' },
    () => weightsAtStop.push(plain.gateway.policy().weights),
  )
  const world = { ...plain, runtime: tight.runtime }
  const control = await startControl(t, world, undefined, alerts)
  const { name } = await control.client.startRollout(
    rolloutOf({ strategy: { recreate }, analysis: { ...analysis, webhooks } }),
  )
  const seconds = (seconds: number, failing: Record<string, number> = {}) =>
    pass(world, control, { name, seconds, requestsPerSecond: 50, failing })
  return {
    world,
    control,
    name,
    seconds,
    stable,
    weightsAtStop,
    ...tight,
    status: () => control.client.rollout(name),
  }
}

t.test('users are told, the route is closed, the old version stops before the new one starts', async t => {
  const { world, seconds, seen, stable, status } = await started(t, {
    announce: '10s',
    notice: 'soon closed',
  })
  await seconds(8)
  t.match(world.gateway.policy(), { notice: 'soon closed', weights: { stable: 100 } })
  t.same(seen, [])
  const weights: object[] = []
  while ((await status()).step.name !== 'watch') {
    await seconds(1)
    weights.push(world.gateway.policy().weights)
  }
  t.ok(
    weights.some(weight => JSON.stringify(weight) === '{"stable":0,"candidate":0}'),
    'closed meanwhile',
  )
  t.equal(world.gateway.policy().notice, undefined)
  t.same(seen, ['stop food11-v1', 'start food11-v2.candidate'])
  await seconds(2)
  t.match(world.gateway.policy().weights, { stable: 0, candidate: 100 })
  const { gapMs } = await status()
  t.ok(gapMs !== null && gapMs >= 2000 && gapMs <= 10_000, `a gap of ${gapMs} ms`)
  await seconds(25)
  t.match(await status(), { phase: 'Promoted' })
  t.match(world.gateway.policy(), {
    weights: { stable: 100, candidate: 0 },
    variants: { stable: { endpoints: ['http://127.0.0.1:1'] } },
  })
  t.same(world.gateway.policy().variants['candidate']?.endpoints, [])
  t.not(stable, 'http://127.0.0.1:1')
})

t.test(
  'webhooks and receivers of alerts are told once what will be interrupted, and from when on',
  async t => {
    const [hook, team] = [await startReceiver(t), await startReceiver(t)]
    const { world, control, seconds } = await started(
      t,
      { announce: '10m', notice: 'soon closed' },
      {
        webhooks: [{ name: 'chat', type: 'event', url: hook.url }],
        alerts: `receivers: [{ name: team, webhook: { url: "${team.url}" } }]`,
      },
    )
    const began = world.clock.now()
    await seconds(5)
    await deliverAll(control)
    const told = hook.got.map(payloadOf).filter(({ metadata }) => metadata['action'] === 'announce')
    t.match(told, [{ metadata: { eventType: 'Normal', notice: 'soon closed', interruptionAt: String } }])
    const interruptionAt = told[0]?.metadata['interruptionAt'] ?? ''
    const inMs = Date.parse(interruptionAt) - began
    t.ok(inMs >= 600_000 && inMs <= 605_000, interruptionAt)
    t.equal(
      told[0]?.metadata['eventMessage'],
      `announce: interruption not before ${interruptionAt}: soon closed`,
    )
    const events = team.got.map(({ body }) => body as { alert: string; summary: string })
    t.match(events, [{ alert: 'WeirInterruptionAnnounced', status: 'event', severity: 'info' }])
    t.ok(events[0]?.summary.includes(interruptionAt))
    await seconds(590)
    t.match(world.gateway.policy(), { weights: { stable: 100 }, notice: 'soon closed' }, 'and not before')
    await seconds(20)
    t.equal(world.gateway.policy().weights['stable'], 0, 'afterwards it is')
  },
)

// It was stopped while it still had all users, and the gap was counted from the first closing to the last opening.
t.test('a version that fails after the gap is replaced by the old one, started again', async t => {
  const { world, seconds, seen, stable, status, weightsAtStop } = await started(t)
  let closedSeconds = 0
  const second = async (failing = {}) => {
    await seconds(1, failing)
    const { weights } = world.gateway.policy()
    if (weights['stable'] === 0 && weights['candidate'] === 0) closedSeconds += 1
  }
  for (let passed = 0; passed < 20; passed++) await second()
  t.match(world.gateway.policy().weights, { stable: 0, candidate: 100 })
  for (let passed = 0; passed < 15; passed++) await second({ candidate: 0.5 })
  const { phase, gapMs, withdrawMs } = await status()
  t.equal(phase, 'RolledBack')
  t.same(weightsAtStop, [
    { stable: 0, candidate: 0 },
    { stable: 0, candidate: 0 },
  ])
  t.ok(
    Math.abs((gapMs ?? 0) / 1000 - closedSeconds) <= 2,
    `${gapMs} ms; it was closed for ${closedSeconds} s`,
  )
  t.ok((withdrawMs ?? Infinity) <= 1000, `no traffic ${withdrawMs} ms after the decision`)
  t.same(seen, ['stop food11-v1', 'start food11-v2.candidate', 'stop food11-v2.candidate', 'start food11-v1'])
  t.match(world.gateway.policy(), { weights: { stable: 100 }, variants: { stable: { endpoints: [stable] } } })
})

t.test('a version that is not what it should be brings the old one back, also through a restart', async t => {
  const { world, control, name, seconds, seen, answerWith } = await started(t)
  answerWith('sha256:other')
  await seconds(5)
  answerWith('sha256:one')
  await control.stop()
  const second = await startControl(t, world)
  await pass(world, second, { name, seconds: 12, requestsPerSecond: 50 })
  t.match(await second.client.rollout(name), { phase: 'Failed', cause: 'not-ready' })
  t.equal(seen.at(-1), 'start food11-v1')
  t.match(world.gateway.policy().weights, { stable: 100 })
})

t.test('what the controller does not run it cannot recreate', async t => {
  const control = await startControl(t, await startWorld(t))
  await t.rejects(control.client.startRollout(rolloutOf({ strategy: { recreate: {} } })), {
    code: 'conflict',
    message: /one process of this controller/,
  })
})
