import t from 'tap'
import { until } from '../helpers/until.ts'
import { createUsers, withThirdVersion } from './experiment-users.ts'
import { rolloutOf, startRollouts } from './rollouts.ts'

// Three versions on real processes: users pinned by x-user-id order more with the third, which nobody asked to be the winner.

const stack = await startRollouts(t, { models: await withThirdVersion(t) })
const users = await createUsers(stack.publicUrl)
const LIMIT = 4000

t.test(
  'of three versions the one with which users order more is promoted, and the others are stopped',
  async t => {
    const ab = { arms: [{ version: '3' }], goal: { outcome: 'ordered' } }
    const { name } = await stack.controller.startRollout(rolloutOf('2', { strategy: { ab } }))
    const arms = new Map<string, string>()
    const endpoints = new Map<string, string>()
    let moved = 0
    for (let n = 0; n < LIMIT; n++) {
      const rollout = await stack.controller.rollout(name)
      if (rollout.phase !== 'Pending' && rollout.phase !== 'Progressing') break
      const user = `user-${n % 60}`
      const { variant, id } = await users.predict({ 'x-user-id': user }, n)
      if (rollout.step.name !== 'experiment') continue
      if ((arms.get(user) ?? variant) !== variant) moved++
      arms.set(user, variant)
      if (endpoints.size === 0)
        for (const [variant, { endpoints: own }] of Object.entries((await stack.policy()).variants))
          endpoints.set(variant, own[0] ?? '')
      const orders = n % 20 < (variant === 'arm-3' ? 15 : 5)
      if (orders) await users.tell({ prediction_id: id, outcome: { name: 'ordered', value: 1 } })
    }
    const result = await stack.ended(name)
    t.match(result, { phase: 'Promoted', versions: { candidate: { version: '3' } } }, result.message)
    t.match(result.decision?.reason, /^users do better with arm-3: candidate \d+ of \d+ .*, arm-3 \d+ of \d+/)
    t.match(
      result.arms.map(({ variant, standing }) => `${variant} ${standing}`),
      ['stable control', 'arm-3 winner', 'candidate lost'],
    )
    t.same(new Set(arms.values()), new Set(['stable', 'candidate', 'arm-3']))
    t.equal(moved, 0, `of ${arms.size} users`)
    t.equal(await stack.versionOf('stable'), '3')
    const { variants, weights } = await stack.policy()
    t.same(Object.keys(variants).toSorted(), ['candidate', 'stable'])
    t.same(variants['stable']?.endpoints, [endpoints.get('arm-3')])
    t.same(variants['candidate']?.endpoints, [endpoints.get('stable')], 'the old version stays warm')
    t.match(weights, { stable: 100, candidate: 0 })
    const loser = endpoints.get('candidate') ?? ''
    t.ok(
      await until('the loser is stopped', 40_000, () =>
        fetch(`${loser}/livez`).then(
          () => false,
          () => true,
        ),
      ),
    )
  },
)
