import t from 'tap'
import { parseExposition } from '../../lib/exposition.ts'
import { pass, rolloutOf, startControl, startWorld, type Control } from './control.ts'

/** Values of one metric by its labels, the route left out where a rollout says it. */
async function read({ url }: Control, metric: string): Promise<Record<string, number>> {
  const response = await fetch(`${url}/metrics`)
  const samples = parseExposition(await response.text()).filter(({ name }) => name === metric)
  const keyOf = (labels: Readonly<Record<string, string>>) =>
    Object.entries(labels)
      .filter(([label]) => label !== 'route' || !('rollout' in labels))
      .map(([, value]) => value)
      .join(' ')
  return Object.fromEntries(samples.map(({ labels, value }) => [keyOf(labels), value]))
}

const QUICK = {
  strategy: { canary: { steps: [{ setWeight: 50 }, { ramp: { riskBudget: '5pp', to: 95 } }] } },
}

t.test('weight, phase, evidence and decisions of a rollout are told to Prometheus', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const { name } = await control.client.startRollout(rolloutOf(QUICK))
  await pass(world, control, { name, seconds: 6, requestsPerSecond: 20 })
  const { decision } = await control.client.rollout(name)
  t.same(await read(control, 'weir_rollout_weight_ratio'), { 'food11-v2': 0.5 })
  t.match(await read(control, 'weir_rollout_phase'), {
    'food11-v2 Progressing': 1,
    'food11-v2 Paused': 0,
    'food11-v2 Promoted': 0,
  })
  const evidence = await read(control, 'weir_rollout_evidence')
  t.equal(evidence['food11-v2 combined'], decision?.e)
  t.ok((evidence['food11-v2 failure'] ?? 0) > 0)
  t.equal((await read(control, 'weir_rollout_excess_bound_ratio'))['food11-v2 failure'], decision?.u)
  t.ok(((await read(control, 'weir_rollout_decisions_total'))['food11 hold'] ?? 0) >= 4)
  t.ok(((await read(control, 'weir_controller_loop_seconds_count'))[''] ?? 0) >= 6)
})

t.test('a source that cannot be read is counted, and holds', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const { name } = await control.client.startRollout(rolloutOf(QUICK))
  await pass(world, control, { name, seconds: 6, requestsPerSecond: 20 })
  t.same(await read(control, 'weir_controller_evidence_errors_total'), {})
  world.gateway.metricsUp = false
  await pass(world, control, { name, seconds: 60, requestsPerSecond: 20 })
  t.same(await read(control, 'weir_controller_evidence_errors_total'), { food11: 60 })
  t.match(await control.client.rollout(name), { phase: 'Progressing', weight: 50 })
})

t.test('a route has the series of its newest rollout alone', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const { name } = await control.client.startRollout(rolloutOf(QUICK))
  await pass(world, control, { name, seconds: 6, requestsPerSecond: 20 })
  await control.client.act(name, 'abort')
  await pass(world, control, { name, seconds: 2, requestsPerSecond: 20 })
  t.match(await read(control, 'weir_rollout_phase'), { 'food11-v2 Aborted': 1 })
  const next = await control.client.startRollout(rolloutOf(QUICK))
  await pass(world, control, { name: next.name, seconds: 6, requestsPerSecond: 20 })
  for (const metric of ['weir_rollout_weight_ratio', 'weir_rollout_phase', 'weir_rollout_evidence']) {
    const rollouts = Object.keys(await read(control, metric)).map(key => key.split(' ')[0])
    t.same([...new Set(rollouts)], [next.name], metric)
  }
})
