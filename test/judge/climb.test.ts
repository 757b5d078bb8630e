import t from 'tap'
import { createBound } from '../../controller/judge/bound.ts'
import { climbSeconds, type Climber } from '../../controller/judge/climb.ts'
import { rolloutSpec } from '../../contract/rollout.ts'
import { wayAhead } from '../../controller/rollouts/stages.ts'

const specOf = (riskBudget: string, steps?: unknown[], analysis: object = {}) =>
  rolloutSpec.parse({
    route: 'food11',
    modelVersion: '2',
    strategy: { canary: { steps: steps ?? [{ setWeight: 10 }, { ramp: { riskBudget, to: 95 } }] } },
    analysis,
  })

const climber = (requestsPerSecond: number, rate: number): Climber => ({
  weightPercent: 10,
  metrics: [{ standing: createBound().standing(), rate }],
  requestsPerSecond,
  settleSeconds: 11,
  intervalSeconds: 1,
})

const start = { step: 0, weightBp: 0 }

// What simulated rollouts took from 10 % to all traffic, median seconds: docs/judge.md, "Measured".
const MEASURED = [
  { failures: 0, budget: '0.5pp', seconds: { 20: 232, 35: 147, 80: 84 } },
  { failures: 0, budget: '1pp', seconds: { 20: 133, 35: 91, 80: 60 } },
  { failures: 0, budget: '2pp', seconds: { 20: 95, 35: 69, 80: 50 } },
  { failures: 0.005, budget: '0.5pp', seconds: { 20: 472, 35: 302, 80: 162 } },
  { failures: 0.005, budget: '1pp', seconds: { 20: 190, 35: 127, 80: 73 } },
]

for (const { failures, budget, seconds } of MEASURED) {
  t.test(
    `the time foretold at ${failures * 100} % failures and ${budget} is about what it takes`,
    async t => {
      for (const [rps, measured] of Object.entries(seconds)) {
        const foretold = climbSeconds(
          wayAhead(start, specOf(budget)).stages,
          climber(Number(rps), failures === 0 ? 1e-4 : failures),
        )
        // where failures come by chance, half of all rollouts are luckier than the average that is foretold
        const [least, most] = failures === 0 ? [0.9, 1.1] : [0.9, 1.35]
        const ratio = foretold / measured
        t.ok(ratio > least && ratio < most, `${rps} rps: ${foretold.toFixed(0)}, measured ${measured}`)
      }
    },
  )
}

t.test('half the budget takes longer, twice the traffic less, and no traffic for ever', async t => {
  const seconds = (budget: string, rps: number) =>
    climbSeconds(wayAhead(start, specOf(budget)).stages, climber(rps, 0.005))
  t.ok(seconds('0.5pp', 20) > seconds('1pp', 20))
  t.ok(seconds('1pp', 40) < seconds('1pp', 20))
  t.equal(seconds('1pp', 0), Infinity)
})

t.test('a pause is at least as long as its time, and evidence gathered in it counts later', async t => {
  const steps = (duration: string) => [{ setWeight: 10 }, { pause: { duration } }, { setWeight: 50 }]
  const seconds = (duration: string, rps = 20) =>
    climbSeconds(wayAhead(start, specOf('1pp', steps(duration))).stages, climber(rps, 0.001))
  t.ok(seconds('5m') >= 300 && seconds('5m') < 302)
  t.ok(seconds('1s') > 30, 'an excess of 2 pp must be ruled out before half of the users see it')
  const twice = [...steps('5m'), { pause: { duration: '1s' } }]
  const after = climbSeconds(wayAhead(start, specOf('1pp', twice)).stages, climber(200, 0.001))
  t.ok(after < 330, `${after}`)
})

t.test('the way ahead goes on past a person, whose time is not counted', async t => {
  const spec = specOf('1pp', [
    { setWeight: 10 },
    { ramp: { to: 25 } },
    { approval: {} },
    { setWeight: 50 },
    { pause: { duration: '1m' } },
  ])
  const { stages, needsPerson } = wayAhead(start, spec)
  t.same(
    stages.map(stage => stage.weightPercent),
    [10, 25, 50],
  )
  t.ok(needsPerson)
  const pausing = specOf('1pp', [{ setWeight: 10 }, { pause: {} }, { setWeight: 50 }])
  t.same(wayAhead(start, pausing), { stages: [], needsPerson: true })
  t.notOk(wayAhead({ step: 3, weightBp: 2500 }, spec).needsPerson)
})

t.test('by the clock alone it takes the time and the least number of requests', async t => {
  const spec = specOf('1pp', [{ setWeight: 10 }, { pause: { duration: '1m' } }], {
    advance: 'time',
    minRequests: 600,
  })
  t.same(wayAhead(start, spec).stages, [
    { weightPercent: 10, excess: null, minSeconds: 60, minCandidateRequests: 600 },
  ])
  t.equal(Math.round(climbSeconds(wayAhead(start, spec).stages, climber(100, 0))), 61)
})

t.test('without traffic on the candidate a pause waits for its time alone', async t => {
  const spec = specOf('1pp', [{ mirror: { percent: 50 } }, { pause: { duration: '1m' } }, { setWeight: 10 }])
  t.match(wayAhead(start, spec).stages, [{ weightPercent: 0, excess: null, minCandidateRequests: 0 }])
  t.equal(
    Math.round(climbSeconds(wayAhead(start, spec).stages, { ...climber(100, 0.01), weightPercent: 0 })),
    61,
  )
})

// What was gathered at weight 0 was once no number, and with it the time of every weight after it infinite.
t.test(
  'a pause without traffic on the candidate says nothing of the evidence for the weights after it',
  async t => {
    const later = [{ setWeight: 10 }, { ramp: { to: 95 } }]
    const seconds = (steps: unknown[]) =>
      climbSeconds(wayAhead(start, specOf('1pp', steps)).stages, { ...climber(80, 0.005), weightPercent: 0 })
    const waited = seconds([{ mirror: { percent: 50 } }, { pause: { duration: '1m' } }, ...later])
    t.ok(Math.abs(waited - seconds(later) - 60) < 1, String(waited))
  },
)

t.test('a hook counts with the time in which it has to answer, an announcement once', async t => {
  const hook = { url: 'http://127.0.0.1:1/', timeout: '30s' }
  const steps = [{ setWeight: 10 }, { hook }, { pause: { duration: '1m' } }]
  t.match(wayAhead(start, specOf('1pp', steps)).stages, [{ minSeconds: 30 }, { minSeconds: 60 }])
  const closing = rolloutSpec.parse({
    route: 'food11',
    modelVersion: '2',
    strategy: { recreate: { announce: '10m' } },
    analysis: { watch: '5m' },
  })
  t.match(wayAhead(start, closing).stages, [{ minSeconds: 600 }, { minSeconds: 300 }])
})

t.test('of the present step what is left of its time counts', async t => {
  const spec = specOf('1pp', [
    { setWeight: 10 },
    { pause: { duration: '1m' } },
    { pause: { duration: '1m' } },
  ])
  const after = (spentMs: number) =>
    wayAhead({ step: 1, weightBp: 1000 }, spec, spentMs).stages.map(({ minSeconds }) => minSeconds)
  t.same(after(0), [60, 60])
  t.same(after(45_000), [15, 60])
  t.same(after(90_000), [0, 60])
})
