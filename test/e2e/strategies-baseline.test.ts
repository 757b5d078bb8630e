import t from 'tap'
import { processesOf } from '../helpers/processes.ts'
import { until } from '../helpers/until.ts'
import { rolloutOf, startRollouts } from './rollouts.ts'

// A baseline on real processes: a fresh one of stable's version, with the candidate's weight, which ends with the rollout.

const stack = await startRollouts(t)
const { controller } = stack
const canary = { steps: [{ setWeight: 40 }, { pause: {} }], baseline: true }
const shareOf = (served: number, { answered }: { answered: number }) => served / answered

t.test('the candidate is compared with a fresh process of its size, and promoted', async t => {
  const { name } = await controller.startRollout(rolloutOf('2', { strategy: { canary } }))
  await until('the weights', 60_000, async () => (await stack.policy()).weights['baseline'] === 40)
  const { weights, variants } = await stack.policy()
  t.match(weights, { stable: 20, candidate: 40, baseline: 40 })
  t.notSame(variants['baseline']?.endpoints, variants['stable']?.endpoints, 'a process of its own')
  t.equal(await stack.versionOf('baseline'), '1')
  const load = stack.load(30)
  const judged = await until('evidence', 90_000, async () => {
    const { decision } = await controller.rollout(name)
    return decision !== null && decision.exposure.candidate >= 50 && decision
  })
  const { stable, candidate } = judged.exposure
  t.ok(
    Math.abs(stable - candidate) <= 0.2 * candidate,
    `${candidate} requests against ${stable} of the baseline`,
  )
  await controller.act(name, 'promote')
  const result = await stack.ended(name)
  t.match(result, { phase: 'Promoted' }, result.message)
  const sent = await load.stop()
  t.equal(sent.failed, 0, sent.firstFailure ?? `of ${sent.sent}`)
  t.ok(shareOf(sent.byVariant['baseline'] ?? 0, sent) > 0.02, 'it answered users')
  t.notOk('baseline' in (await stack.policy()).variants)
  t.equal(await stack.versionOf('stable'), '2')
  await until('its process is gone', 40_000, async () => {
    const old = await processesOf(stack.pid, '/food11/1 ')
    return old.length === 1
  })
})

t.test('one that fails is withdrawn against it, and takes it along', async t => {
  const load = stack.load(30)
  const spec = { strategy: { canary }, drill: { failRate: 0.5 } }
  const { name } = await controller.startRollout(rolloutOf('1', spec))
  const result = await stack.ended(name)
  t.match(result, { phase: 'RolledBack', cause: 'failure' }, result.message)
  const { weights, variants } = await stack.policy()
  t.match(weights, { stable: 100, candidate: 0 })
  t.notOk('baseline' in variants)
  const sent = await load.stop()
  t.equal(sent.failed, 0, sent.firstFailure ?? `of ${sent.sent}`)
})
