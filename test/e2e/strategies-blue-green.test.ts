import t from 'tap'
import { until } from '../helpers/until.ts'
import { rolloutOf, startRollouts } from './rollouts.ts'

// Blue-green on real processes: users go over all at once, and back all at once, and notice neither. The second rollout is
// called food11-v1, as the deployment that the start of the stack made: it once was taken for that one, and never failed.

const stack = await startRollouts(t)
const { controller, gateway, versionOf, ended } = stack
const strategy = { blueGreen: { record: '2s' } }

t.test('all users go to green at once and stay; blue is kept warm', async t => {
  const load = stack.load(40)
  const { name } = await controller.startRollout(rolloutOf('2', { strategy }))
  await until('the record', 20_000, async () => (await controller.rollout(name)).step.name === 'record')
  t.match((await gateway.route('food11')).policy.weights, { stable: 100, candidate: 0 })
  const switched = await until('the switch', 20_000, async () => {
    const { policy } = await gateway.route('food11')
    return policy.weights['stable'] !== 100 && policy
  })
  t.match(switched.weights, { stable: 0, candidate: 100 }, 'with nothing in between')
  const result = await ended(name)
  t.match(result, { phase: 'Promoted', strategy: 'blueGreen' }, result.message)
  const { policy } = await gateway.route('food11')
  t.match(policy.weights, { stable: 100, candidate: 0 })
  t.same(
    [policy.variants['stable']?.endpoints, policy.variants['candidate']?.endpoints],
    [switched.variants['candidate']?.endpoints, switched.variants['stable']?.endpoints],
  )
  t.equal(await versionOf('stable'), '2')
  t.equal(await versionOf('candidate'), '1')
  const sent = await load.stop()
  t.equal(sent.failed, 0, sent.firstFailure ?? `of ${sent.sent}`)
})

t.test('a green that fails is switched back within a second, and no client saw it fail', async t => {
  const load = stack.load(40)
  const { name } = await controller.startRollout(rolloutOf('1', { strategy, drill: { failRate: 0.5 } }))
  const result = await ended(name)
  t.match(result, { phase: 'RolledBack', cause: 'failure' }, result.message)
  t.ok((result.withdrawMs ?? Infinity) < 1000, `back after ${result.withdrawMs} ms`)
  t.match((await gateway.route('food11')).policy.weights, { stable: 100, candidate: 0 })
  t.equal(await versionOf('stable'), '2')
  const sent = await load.stop()
  t.equal(sent.failed, 0, sent.firstFailure ?? `of ${sent.sent}`)
  t.ok(sent.fallbacks > 0, 'its failures were real, and blue answered')
})
