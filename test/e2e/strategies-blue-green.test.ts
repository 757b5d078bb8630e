import t from 'tap'
import { createControllerClient } from '../../client/controller.ts'
import { createGatewayClient } from '../../client/gateway.ts'
import { startStack } from '../../cli/demo/stack.ts'
import { readPhotos, startSteadyLoad } from '../../cli/load/steady-load.ts'
import { TERMINAL_PHASES } from '../../contract/rollout.ts'
import { until } from '../helpers/until.ts'

// Blue-green on real processes: users go over all at once, and back all at once, and notice neither. The second rollout is
// called food11-v1, as the deployment that the start of the stack made: it once was taken for that one, and never failed.

const stack = await startStack()
t.teardown(() => stack.stop())
const gateway = createGatewayClient({ baseUrl: stack.operatorUrl })
const controller = createControllerClient({ baseUrl: stack.controllerUrl, actor: 'e2e' })
const photos = await readPhotos('models/food11/samples')

function rolloutOf(modelVersion: string, settings: object = {}): object {
  return {
    apiVersion: 'weir.dev/v1alpha1',
    kind: 'Rollout',
    spec: {
      route: 'food11',
      modelVersion,
      strategy: { blueGreen: { record: '2s' } },
      // on a machine that does other work as well one process may be slower for no fault of its version
      analysis: { interval: '500ms', settle: '2s', watch: '5s', latency: { toleranceRatio: 8 } },
      ...settings,
    },
  }
}

t.test('all users go to green at once and stay; blue is kept warm', async t => {
  const load = startSteadyLoad({ url: stack.publicUrl, photos, requestsPerSecond: 40, users: 0 })
  const { name } = await controller.startRollout(rolloutOf('2'))
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
  const load = startSteadyLoad({ url: stack.publicUrl, photos, requestsPerSecond: 40, users: 0 })
  const { name } = await controller.startRollout(rolloutOf('1', { drill: { failRate: 0.5 } }))
  const result = await ended(name)
  t.match(result, { phase: 'RolledBack', cause: 'failure' }, result.message)
  t.ok((result.withdrawMs ?? Infinity) < 1000, `back after ${result.withdrawMs} ms`)
  t.match((await gateway.route('food11')).policy.weights, { stable: 100, candidate: 0 })
  t.equal(await versionOf('stable'), '2')
  const sent = await load.stop()
  t.equal(sent.failed, 0, sent.firstFailure ?? `of ${sent.sent}`)
  t.ok(sent.fallbacks > 0, 'its failures were real, and blue answered')
})

async function versionOf(variant: string): Promise<string> {
  const answer = await fetch(`${stack.publicUrl}/version`, { headers: { 'x-weir-variant': variant } })
  return ((await answer.json()) as { model_version: string }).model_version
}

async function ended(name: string) {
  return until(`${name} ends`, 90_000, async () => {
    const rollout = await controller.rollout(name)
    return TERMINAL_PHASES.has(rollout.phase) && rollout
  })
}
