import t from 'tap'
import { createUsers } from './experiment-users.ts'
import { rolloutOf, startRollouts } from './rollouts.ts'

// An A/B test on real processes: users pinned by x-user-id say whether a prediction was right, and the arm they like wins.

const stack = await startRollouts(t)
const users = await createUsers(stack.publicUrl)
const LIMIT = 4000

t.test('users stay in their arm, tell what was right, and the better arm is promoted', async t => {
  const strategy = { ab: { weight: 50, goal: { label: 'correct' } } }
  const { name } = await stack.controller.startRollout(rolloutOf('2', { strategy }))
  const arms = new Map<string, string>()
  let moved = 0
  for (let n = 0; n < LIMIT; n++) {
    const rollout = await stack.controller.rollout(name)
    if (rollout.phase !== 'Pending' && rollout.phase !== 'Progressing') break
    const user = `user-${n % 40}`
    const { variant, id, label } = await users.predict({ 'x-user-id': user }, n)
    if (rollout.step.name !== 'experiment') continue
    if ((arms.get(user) ?? variant) !== variant) moved++
    arms.set(user, variant)
    const likes = variant === 'candidate' ? n % 10 !== 0 : n % 10 < 3
    const truth = likes ? label : 'Something else'
    await users.tell({ prediction_id: id, label: truth })
  }
  const result = await stack.ended(name)
  t.match(result, { phase: 'Promoted' }, result.message)
  t.match(result.decision?.reason, /^users do better with it: candidate \d+ of \d+/)
  t.same(new Set(arms.values()), new Set(['stable', 'candidate']))
  t.equal(moved, 0, `of ${arms.size} users`)
  t.equal(await stack.versionOf('stable'), '2')
})
