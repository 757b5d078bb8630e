import t from 'tap'
import { budgetFor, ladderOf, nextRampWeight, rungAbove } from '../../controller/judge/ladder.ts'

t.test('the excess allowed shrinks with the share of users that would see it, and is never above 5 %', t => {
  t.equal(budgetFor(1, 0.01), 0.05)
  t.equal(budgetFor(25, 0.01), 0.04)
  t.equal(budgetFor(50, 0.01), 0.02)
  t.end()
})

t.test('a ramp goes through its weights as the bound allows, then to all traffic', t => {
  const next = (weightPercent: number, bound: number, to = 95) =>
    nextRampWeight({ weightPercent, to, bound, riskBudget: 0.005 })
  t.equal(next(1, 0.05), 5)
  t.equal(next(1, 0.051), undefined)
  t.equal(next(5, 0.05), 10)
  t.equal(next(10, 0.021), undefined)
  t.equal(next(10, 0.02), 25)
  t.equal(next(50, 0.00526), 95)
  t.equal(next(95, 0.00526), 100)
  t.equal(next(95, 0.0054), undefined)
  t.equal(next(100, -1), undefined)
  t.equal(next(25, -0.5, 30), 30)
  t.equal(next(30, 0.0166, 30), 100)
  t.end()
})

t.test('nothing known about the excess allows nothing', t => {
  t.equal(nextRampWeight({ weightPercent: 0, to: 95, bound: 1, riskBudget: 1 }), undefined)
  t.end()
})

t.test('the weights of a canary are those of its steps in their order', t => {
  const pause = { pause: { duration: 300_000 } }
  const ladder = ladderOf([{ setWeight: 20 }, pause, { setWeight: 40 }, pause, { ramp: { to: 80 } }], 0.01)
  t.same(
    ladder.map(({ weightPercent }) => weightPercent),
    [20, 40, 1, 5, 10, 25, 50, 80, 100],
  )
  t.match(rungAbove(ladder, 20), { weightPercent: 40, budget: 0.025 })
  t.match(rungAbove(ladder, 40), { weightPercent: 50, budget: 0.02 })
  t.match(rungAbove(ladder, 80), { weightPercent: 100, budget: 0.0125 })
  t.equal(rungAbove(ladder, 100), undefined)
  t.end()
})

t.test('without a ramp, all traffic is the last step and needs its own budget', t => {
  const ladder = ladderOf([{ setWeight: 50 }], 0.01)
  t.same(rungAbove(ladder, 50), { weightPercent: 100, budget: 0.01 })
  t.end()
})

t.test("a ramp's own risk budget comes before the rollout's", t => {
  const ladder = ladderOf([{ ramp: { riskBudget: 0.002, to: 95 } }], 0.01)
  t.match(rungAbove(ladder, 25), { weightPercent: 50, budget: 0.004 })
  t.end()
})
