import t, { type Test } from 'tap'
import { createRandom } from '../../bench/judge/random.ts'
import { history } from '../../contract/history.ts'
import { rolloutFile } from '../../contract/rollout.ts'
import { replayRollout } from '../../controller/judge/judge-for.ts'
import { pass, rolloutOf, startControl, startWorld } from './control.ts'

type Goal = { label: 'correct' } | { outcome: string }
type Rates = Readonly<Record<'stable' | 'candidate', number>>

async function started(t: Test, goal: Goal, settings: object = {}) {
  const world = await startWorld(t, { sticky: { header: 'x-user-id' } })
  const control = await startControl(t, world)
  const strategy = { ab: { goal } }
  const { name } = await control.client.startRollout(rolloutOf({ strategy, ...settings }))
  const random = createRandom(7)
  /** Of 20 users an arm each second so many are served well. */
  const seconds = async (seconds: number, rates: Rates, epoch = () => world.gateway.version()) => {
    for (let second = 0; second < seconds; second++) {
      for (const variant of ['stable', 'candidate'] as const)
        tell(variant, random.binomial(20, rates[variant]), epoch())
      await pass(world, control, { name, seconds: 1, requestsPerSecond: 40 })
    }
  }
  function tell(variant: string, good: number, epoch: number): void {
    const labels = { variant, epoch: String(epoch) }
    if ('label' in goal) {
      world.gateway.count('weir_feedback_total', { ...labels, correct: 'true' }, good)
      world.gateway.count('weir_feedback_total', { ...labels, correct: 'false' }, 20 - good)
    } else {
      world.gateway.count('weir_outcomes_total', { ...labels, name: goal.outcome }, good)
      world.gateway.count('weir_predictions_total', { variant, label: 'Bread' }, 20)
    }
  }
  return { world, control, name, seconds, status: () => control.client.rollout(name) }
}

const GOALS: readonly Goal[] = [{ label: 'correct' }, { outcome: 'ordered' }]

t.test('the arm that serves its users better wins, by labels and by named outcomes', async t => {
  for (const goal of GOALS) {
    const { world, control, name, seconds, status } = await started(t, goal)
    await seconds(5, { stable: 0.4, candidate: 0.6 })
    t.match(await status(), {
      strategy: 'ab',
      weight: 50,
      step: { name: 'experiment' },
      message: /^undecided/,
    })
    await seconds(60, { stable: 0.4, candidate: 0.6 })
    t.match(await status(), { phase: 'Promoted' })
    t.match(world.gateway.policy(), { weights: { stable: 100 }, sticky: { header: 'x-user-id' } })
    const exported = await control.client.evidence(name)
    const { spec } = rolloutFile.parse(exported.rollout)
    const last = replayRollout(history.parse(exported.history), spec).at(-1)
    t.match(last, { action: 'advance', reason: /^users do better with it: candidate \d+ of \d+/ })
  }
})

t.test('an arm that serves its users worse is withdrawn', async t => {
  for (const goal of GOALS) {
    const { seconds, status } = await started(t, goal)
    await seconds(60, { stable: 0.6, candidate: 0.4 })
    t.match(await status(), { phase: 'RolledBack', cause: 'feedback', message: /^users do worse with it/ })
  }
})

t.test('arms that are alike stay undecided, and the deadline ends that', async t => {
  const { seconds, status } = await started(t, { label: 'correct' }, { onDeadline: { after: '60s' } })
  await seconds(50, { stable: 0.5, candidate: 0.5 })
  t.match(await status(), { phase: 'Progressing', message: /^undecided/ })
  await seconds(20, { stable: 0.5, candidate: 0.5 })
  t.match(await status(), { phase: 'RolledBack', cause: 'deadline' })
})

t.test('feedback on answers from before the experiment decides nothing', async t => {
  const { seconds, status } = await started(t, { label: 'correct' })
  await seconds(60, { stable: 0.1, candidate: 0.9 }, () => 1)
  t.match(await status(), { phase: 'Progressing', message: /^undecided: candidate none, stable none/ })
})

t.test('harm outranks what users like', async t => {
  const { world, control, name, seconds } = await started(t, { label: 'correct' })
  await seconds(5, { stable: 0.5, candidate: 0.5 })
  await pass(world, control, { name, seconds: 15, requestsPerSecond: 40, failing: { candidate: 0.5 } })
  t.match(await control.client.rollout(name), { phase: 'RolledBack', cause: 'failure' })
})

t.test('without a sticky key there are no arms', async t => {
  const control = await startControl(t, await startWorld(t))
  const strategy = { ab: { goal: { label: 'correct' } } }
  await t.rejects(control.client.startRollout(rolloutOf({ strategy })), {
    code: 'invalid_setting',
    message: /route food11 has no sticky key/,
  })
})
