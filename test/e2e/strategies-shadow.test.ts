import t from 'tap'
import { rolloutOf, startRollouts } from './rollouts.ts'

// A shadow on real processes: every user is answered by stable until the candidate is proven to answer alike.

const stack = await startRollouts(t)
const strategy = { shadow: { agreement: { atLeast: 0.9 }, failures: { atMost: 0.1 } } }

t.test('a version that answers otherwise is dropped, and no user saw an answer of it', async t => {
  const load = stack.load(40)
  const { name } = await stack.controller.startRollout(rolloutOf('2', { strategy }))
  const result = await stack.ended(name)
  t.match(result, { phase: 'RolledBack', cause: 'disagreement' }, result.message)
  const sent = await load.stop()
  t.same(Object.keys(sent.byVariant), ['stable'])
  t.equal(sent.failed, 0, sent.firstFailure ?? `of ${sent.sent}`)
  t.match(await stack.policy(), { weights: { stable: 100, candidate: 0 }, mirror: { percent: 0 } })
})

t.test('one whose copies fail is dropped', async t => {
  const load = stack.load(40)
  const drill = { failRate: 0.5 }
  const { name } = await stack.controller.startRollout(rolloutOf('1', { strategy, drill }))
  const result = await stack.ended(name)
  t.match(result, { phase: 'RolledBack', cause: 'failure' }, result.message)
  const sent = await load.stop()
  t.same(Object.keys(sent.byVariant), ['stable'])
  t.equal(sent.failed, 0, sent.firstFailure ?? `of ${sent.sent}`)
})

t.test('one that answers alike is promoted', async t => {
  const load = stack.load(40)
  const drill = { delayMs: 1 } // the same version again: it may differ in nothing
  const { name } = await stack.controller.startRollout(rolloutOf('1', { strategy, drill }))
  const before = await stack.policy()
  const result = await stack.ended(name)
  t.match(result, { phase: 'Promoted' }, result.message)
  const after = await stack.policy()
  t.same(after.variants['candidate']?.endpoints, before.variants['stable']?.endpoints)
  t.match(after, { weights: { stable: 100, candidate: 0 }, mirror: { percent: 0 } })
  t.equal((await load.stop()).failed, 0)
})
