import t from 'tap'
import { TERMINAL_PHASES } from '../../contract/rollout.ts'
import { processesOf } from '../helpers/processes.ts'
import { rolloutOf, startRollouts } from './rollouts.ts'

// Versions of two processes each, on real processes and under load: no client ever sees a failure.

const stack = await startRollouts(t)
const { controller, versionOf } = stack
const analysis = {
  interval: '500ms',
  settle: '2s',
  watch: '5s',
  advance: 'time',
  minRequests: 10,
  latency: { toleranceRatio: 8 },
}
const pause = { pause: { duration: '2s' } }

/** Runs a rollout to its end under load, with what could be seen of it on the way. */
async function rollOut(modelVersion: string, strategy: object) {
  const load = stack.load(20)
  const { name } = await controller.startRollout(rolloutOf(modelVersion, { strategy, analysis }))
  const seen: { weight: number; carrying: number; running: number }[] = []
  const until = Date.now() + 200_000
  for (;;) {
    const { weights, variants } = await stack.policy()
    const served = Object.entries(variants).filter(([variant]) => (weights[variant] ?? 0) > 0)
    const carrying = served.flatMap(([, { endpoints }]) => endpoints).length
    const running = (await processesOf(stack.pid, 'serving/main.ts')).length
    seen.push({ weight: weights['candidate'] ?? 0, carrying, running })
    const rollout = await controller.rollout(name)
    if (TERMINAL_PHASES.has(rollout.phase)) return { rollout, seen, sent: await load.stop() }
    if (Date.now() > until) throw new Error(`${name}: ${rollout.phase}, ${rollout.message}`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

const endpointsOf = async (variant: string) => (await stack.policy()).variants[variant]?.endpoints ?? []

t.test('a canary with two replicas ends with two processes that are stable', async t => {
  const { rollout, sent } = await rollOut('2', { canary: { replicas: 2, steps: [{ setWeight: 50 }, pause] } })
  t.match(rollout, { phase: 'Promoted' }, rollout.message)
  t.equal((await endpointsOf('stable')).length, 2)
  t.equal(await versionOf('stable'), '2')
  t.equal(sent.failed, 0, sent.firstFailure ?? `of ${sent.sent}`)
})

t.test('rolling replaces the two one by one, and no request fails', async t => {
  const { rollout, seen, sent } = await rollOut('1', {
    canary: { rolling: true, steps: [{ setWeight: 10 }, pause] },
  })
  t.match(rollout, { phase: 'Promoted' }, rollout.message)
  t.ok(
    seen.some(({ weight }) => weight === 50),
    'one of two',
  )
  t.ok(
    seen.every(({ carrying }) => carrying >= 2),
    'never fewer than two took requests',
  )
  t.equal((await endpointsOf('stable')).length, 2)
  t.equal(await versionOf('stable'), '1')
  t.equal(await versionOf('candidate'), '2')
  t.equal(sent.failed, 0, sent.firstFailure ?? `of ${sent.sent}`)
})

t.test('blue-green brings up as many greens as there are blues before it switches', async t => {
  const { rollout, seen, sent } = await rollOut('2', { blueGreen: { record: '1s' } })
  t.match(rollout, { phase: 'Promoted' }, rollout.message)
  const switched = seen.filter(({ weight }) => weight === 100)
  t.ok(switched.length > 0)
  t.ok(
    switched.every(({ carrying }) => carrying === 2),
    'all traffic was on two greens',
  )
  t.equal((await endpointsOf('candidate')).length, 2, 'both blues are kept')
  t.equal(await versionOf('stable'), '2')
  t.equal(sent.failed, 0, sent.firstFailure ?? `of ${sent.sent}`)
})
