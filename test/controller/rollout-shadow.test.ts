import t, { type Test } from 'tap'
import { history } from '../../contract/history.ts'
import { rolloutFile } from '../../contract/rollout.ts'
import { replayRollout } from '../../controller/judge/judge-for.ts'
import { pass, rolloutOf, startControl, startWorld } from './control.ts'

async function started(t: Test, shadow: object = {}, settings: object = {}) {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const { name } = await control.client.startRollout(rolloutOf({ strategy: { shadow }, ...settings }))
  const seconds = async (seconds: number, results: Record<string, number>) => {
    for (let second = 0; second < seconds; second++) {
      world.gateway.compare(results)
      await pass(world, control, { name, seconds: 1, requestsPerSecond: 50 })
    }
  }
  return { world, control, name, seconds, status: () => control.client.rollout(name) }
}

t.test('a candidate whose copies are answered alike is promoted, and had no request before', async t => {
  const { world, seconds, status, control, name } = await started(t)
  await seconds(8, { agree: 50 })
  t.match(world.gateway.policy(), {
    weights: { stable: 100, candidate: 0 },
    mirror: { to: 'candidate', percent: 100 },
  })
  t.match(await status(), { phase: 'Progressing', step: { name: 'compare' }, message: /pairs agree/ })
  t.match((await control.client.explain(name)).sentences[1], /not known yet; the deadline is in/)
  t.equal(world.gateway.counts('candidate').assigned, 0)
  await seconds(12, { agree: 50 })
  t.match(await status(), { phase: 'Promoted' })
  t.match(world.gateway.policy(), { weights: { stable: 100 }, mirror: { percent: 0 } })
  const exported = await control.client.evidence(name)
  const { spec } = rolloutFile.parse(exported.rollout)
  const decisions = replayRollout(history.parse(exported.history), spec)
  t.match(decisions.at(-1), { action: 'advance' }, 'and a replay says the same')
})

t.test('one that answers otherwise is dropped, and so is one that fails', async t => {
  const results = { disagreement: { agree: 44, disagree: 6 }, failure: { agree: 44, failure: 4, invalid: 2 } }
  for (const [cause, counted] of Object.entries(results)) {
    const { world, seconds, status } = await started(t)
    await seconds(20, counted)
    t.match(await status(), { phase: 'RolledBack', cause })
    t.match(world.gateway.policy().mirror, { percent: 0 })
  }
})

t.test('pairs that stay away hold it, and at the deadline a person is asked', async t => {
  const { seconds, status } = await started(t, {}, { onDeadline: { after: '10s' } })
  await seconds(15, {})
  t.match(await status(), { phase: 'Paused', cause: 'deadline', message: /no evidence came/ })
})

t.test('a promotion can wait for a person', async t => {
  const { world, seconds, status } = await started(t, { approval: true, percent: 40 })
  await seconds(25, { agree: 50 })
  t.match(await status(), { phase: 'Paused', cause: 'approval' })
  t.match(world.gateway.policy().mirror, { percent: 40 })
})
