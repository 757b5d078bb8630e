import t from 'tap'
import { history } from '../../contract/history.ts'
import { rolloutFile } from '../../contract/rollout.ts'
import { replayRollout } from '../../controller/judge/judge-for.ts'
import { pass, rolloutOf, startControl, startWorld, type Control, type World } from './control.ts'

const steps = [{ setWeight: 50 }, { ramp: { riskBudget: '5pp', to: 95 } }]
const SAME = { stable: 0.5, candidate: 0.5 }

/** Seconds in which so large a share of each variant's 100 photos is called bread, the rest soup. */
async function predicting(
  world: World,
  control: Control,
  { name, seconds, bread }: { name: string; seconds: number; bread: Readonly<Record<string, number>> },
) {
  for (let second = 0; second < seconds; second++) {
    for (const [variant, share] of Object.entries(bread)) {
      world.gateway.count('weir_predictions_total', { variant, label: 'Bread' }, 100 * share)
      world.gateway.count('weir_predictions_total', { variant, label: 'Soup' }, 100 * (1 - share))
    }
    await pass(world, control, { name, seconds: 1, requestsPerSecond: 200 })
  }
}

t.test('a candidate that predicts other classes holds where that is asked for, and says so', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const spec = { strategy: { canary: { steps } }, analysis: { interval: '1s', settle: '2s', drift: 'hold' } }
  const { name } = await control.client.startRollout(rolloutOf(spec))
  await predicting(world, control, { name, seconds: 60, bread: { stable: 0.5, candidate: 0.9 } })
  t.match(await control.client.rollout(name), {
    phase: 'Progressing',
    weight: 50,
    message:
      /the candidate predicts other classes than stable, or others more often \(population stability index 0\.[2-9]/,
  })
  const { decision } = await control.client.rollout(name)
  const exported = await control.client.evidence(name)
  const replayed = replayRollout(history.parse(exported.history), rolloutFile.parse(exported.rollout).spec)
  t.same(replayed.at(-1), decision, 'as it replays')
})

t.test('one that predicts the same classes is promoted', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const spec = { strategy: { canary: { steps } }, analysis: { interval: '1s', settle: '2s', drift: 'hold' } }
  const { name } = await control.client.startRollout(rolloutOf(spec))
  await predicting(world, control, { name, seconds: 60, bread: SAME })
  t.match(await control.client.rollout(name), { phase: 'Promoted' })
})

t.test('without being asked for, other classes are no reason to hold, and are not recorded', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const { name } = await control.client.startRollout(rolloutOf({ strategy: { canary: { steps } } }))
  await predicting(world, control, { name, seconds: 60, bread: { stable: 0.5, candidate: 0.9 } })
  t.match(await control.client.rollout(name), { phase: 'Promoted' })
  const { looks } = history.parse((await control.client.evidence(name)).history)
  t.ok(looks.every(({ counters }) => counters === undefined))
})

t.test('where two versions do not answer at the same time it is refused', async t => {
  const control = await startControl(t, await startWorld(t))
  const analysis = { drift: 'hold' }
  await t.rejects(control.client.startRollout(rolloutOf({ strategy: { blueGreen: {} }, analysis })), {
    code: 'invalid_setting',
    message: /spec\.analysis\.drift: .* needs a canary/,
  })
})
