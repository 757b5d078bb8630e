// What must hold for the whole judge, whatever the traffic: simulated rollouts with seeded generators.
import t from 'tap'
import type { Decision, Look } from '../../contract/history.ts'
import { createJudge, replay } from '../../controller/judge/judge.ts'
import { options, simulate } from './looks.ts'

const harmful = () =>
  simulate({ seed: 1, requestsPerSecond: 500, looks: 60, at: () => ({ stable: 0.01, candidate: 0.05 }) })
const healthy = (seed = 2, looks = 90) =>
  simulate({ seed, requestsPerSecond: 200, looks, at: () => ({ stable: 0.01, candidate: 0.01 }) })

const judged = (looks: readonly Look[], analysis = {}): Decision[] =>
  replay({ looks: [...looks] }, options(analysis))
const actions = (looks: readonly Look[]) => judged(looks).map(({ action }) => action)

t.test('a withdrawn candidate stays withdrawn, for the same cause, whatever comes after', t => {
  const looks = harmful()
  const decisions = judged(looks)
  const first = decisions.findIndex(({ action }) => action === 'withdraw')
  t.ok(first > 0)
  t.ok(decisions.slice(first).every(({ action, cause }) => action === 'withdraw' && cause === 'failure'))
  const better = simulate({
    seed: 3,
    requestsPerSecond: 500,
    looks: 200,
    at: t => ({ stable: 0.01, candidate: t < 200 ? 0.05 : 0 }),
  })
  t.equal(actions(better).at(-1), 'withdraw')
  t.end()
})

t.test('replaying the looks gives the decisions of the judge that was there', t => {
  const looks = healthy()
  const judge = createJudge(options())
  t.same(
    looks.map(look => judge.step(look)),
    judged(looks),
  )
  t.end()
})

t.test('every decision carries its evidence and a reason', t => {
  for (const decision of [...judged(harmful()), ...judged(healthy())]) {
    const { e, u, threshold, exposure, reason, cause, action } = decision
    if (!Number.isFinite(e) || !Number.isFinite(u) || threshold !== 100) t.fail(JSON.stringify(decision))
    if (!(exposure.stable >= 0 && exposure.candidate >= 0)) t.fail(JSON.stringify(decision))
    if (reason === '' || /NaN|undefined/.test(reason)) t.fail(reason)
    if ((action === 'withdraw') !== (cause !== null)) t.fail(JSON.stringify(decision))
  }
  t.end()
})

t.test('looks without data anywhere change nothing but to hold', t => {
  const looks = healthy()
  const gaps = [withoutSeries, withNaN, withoutCandidate]
  const gappy = looks.flatMap(look => [
    look,
    ...gaps.map((gap, index) => gap({ ...look, t: look.t + 1 + index })),
  ])
  const decisions = judged(gappy)
  const real = (_: unknown, index: number) => index % (gaps.length + 1) === 0
  t.same(decisions.filter(real), judged(looks))
  t.ok(decisions.every((decision, index) => real(decision, index) || decision.action === 'hold'))
  t.end()
})

t.test('a history without data neither advances nor withdraws', t => {
  for (const looks of [
    healthy().map(withoutSeries),
    healthy().map(withNaN),
    healthy().map(withoutCandidate),
  ]) {
    t.ok(judged(looks).every(({ action, e, u }) => action === 'hold' && e === 1 && u === 1))
  }
  t.end()
})

function withoutSeries(look: Look): Look {
  return { ...look, series: [] }
}

function withNaN(look: Look): Look {
  return {
    ...look,
    series: look.series.map(({ id, variant }) => ({ id, variant, requests: null, failures: null })),
  }
}

function withoutCandidate(look: Look): Look {
  return { ...look, series: look.series.filter(({ variant }) => variant === 'stable') }
}

t.test('the order of series, and a replica that handles nothing, change nothing', t => {
  const looks = healthy()
  const idle = (look: Look) => ({
    id: 'gw-9',
    variant: 'candidate',
    requests: 0,
    failures: 0,
    buckets: (look.series[0]?.buckets ?? []).map(([bound]): [number | '+Inf', number] => [bound, 0]),
  })
  const others = looks.map(look => ({ ...look, series: [idle(look), ...look.series.toReversed()] }))
  t.same(judged(others), judged(looks))
  t.end()
})

t.test('counters that restart say the same as counters that go on', t => {
  const looks = healthy()
  const at = 40
  const before = looks[at - 1]
  const restarted = looks.map((look, index) => (index < at || !before ? look : minus(look, before)))
  t.same(judged(restarted), judged(looks))
  t.end()
})

/** The counters since an earlier look, as after a restart right after it. */
function minus(look: Look, before: Look): Look {
  const series = look.series.map((series, index) => {
    const base = before.series[index]
    return {
      id: series.id,
      variant: series.variant,
      requests: (series.requests ?? 0) - (base?.requests ?? 0),
      failures: (series.failures ?? 0) - (base?.failures ?? 0),
      buckets: series.buckets?.map(([bound, count], k): [number | '+Inf', number] => [
        bound,
        (count ?? 0) - (base?.buckets?.[k]?.[1] ?? 0),
      ]),
    }
  })
  return { ...look, series: series.map(({ buckets, ...rest }) => ({ ...rest, ...(buckets && { buckets }) })) }
}

t.test('an outage that both share never withdraws; the same on the candidate alone does', t => {
  const outage = (t: number) => t >= 300 && t < 420
  const shared = simulate({
    seed: 4,
    requestsPerSecond: 200,
    looks: 200,
    at: t => (outage(t) ? { stable: 0.5, candidate: 0.5 } : { stable: 0.01, candidate: 0.01 }),
  })
  const alone = simulate({
    seed: 4,
    requestsPerSecond: 200,
    looks: 200,
    at: t => ({ stable: 0.01, candidate: outage(t) ? 0.5 : 0.01 }),
  })
  const objectives = { successRate: { atLeast: 0.95 }, latency: { atMostMs: 250 } }
  t.notOk(judged(shared).some(({ action }) => action === 'withdraw'))
  t.notOk(judged(shared, objectives).some(({ action }) => action === 'withdraw'))
  t.ok(judged(alone).some(({ action }) => action === 'withdraw'))
  t.end()
})

t.test('without stable traffic nothing is learned, and nothing is NaN', t => {
  const looks = simulate({
    seed: 5,
    requestsPerSecond: 100,
    looks: 30,
    weightsPercent: [100],
    at: () => ({ stable: 0, candidate: 0.3 }),
  })
  t.ok(judged(looks).every(({ action, e, u }) => action === 'hold' && e === 1 && u === 1))
  t.end()
})

t.test('the cause is the kind of harm that was done', t => {
  const slow = simulate({
    seed: 6,
    requestsPerSecond: 500,
    looks: 60,
    at: () => ({ stable: 0.001, candidate: 0.001, latencyRatio: 2 }),
  })
  t.equal(judged(slow).at(-1)?.cause, 'latency')
  const refusing = healthy().map(look => ({
    ...look,
    series: look.series.map(series => ({
      ...series,
      clientErrors: Math.floor((series.requests ?? 0) * (series.variant === 'candidate' ? 0.3 : 0.02)),
    })),
  }))
  t.equal(judged(refusing).at(-1)?.cause, 'client_error')
  t.end()
})

t.test('failures that outnumber requests, and buckets that fall, are left aside', t => {
  const absurd = healthy(2, 30).map(look => ({
    ...look,
    series: look.series.map(series => ({
      ...series,
      failures: (series.requests ?? 0) * 2,
      buckets: series.buckets?.toReversed() ?? [],
    })),
  }))
  t.ok(judged(absurd).every(({ action, e, u }) => action === 'hold' && e === 1 && u === 1))
  t.ok(judged(absurd).at(-1)?.exposure.candidate)
  t.end()
})

t.test(
  "a metric of the team's own that is not as it should be stops advancing, and never a withdrawal",
  t => {
    const metrics = [{ name: 'gpu-errors', query: 'q', successCondition: 'result < 0.01' }]
    const withMetric = (looks: readonly Look[], value: number) =>
      judged(
        looks.map(look => ({ ...look, metrics: [{ name: 'gpu-errors', value }] })),
        { metrics },
      )
    t.ok(withMetric(healthy(), 0.001).some(({ action }) => action === 'advance'))
    const decisions = withMetric(healthy(), 0.5)
    t.ok(decisions.every(({ action }) => action === 'hold'))
    t.match(decisions.at(-1)?.reason, /gpu-errors is 0\.5: result < 0\.01 does not hold/)
    t.equal(withMetric(harmful(), 0.5).at(-1)?.action, 'withdraw')
    t.ok(
      judged(healthy(), { metrics }).every(({ action }) => action === 'hold'),
      'nor one that was not measured',
    )
    t.end()
  },
)

t.test('by the clock, each weight needs its number of candidate requests instead of evidence', t => {
  const looks = simulate({
    seed: 7,
    requestsPerSecond: 20,
    looks: 140,
    weightsPercent: [10, 25],
    at: () => ({ stable: 0.2, candidate: 0.2 }),
  })
  const decisions = judged(looks, { advance: 'time', minRequests: 100 })
  const first = decisions.findIndex(({ action }) => action === 'advance')
  t.ok((decisions[first]?.exposure.candidate ?? 0) >= 100)
  t.equal(decisions[60]?.action, 'advance')
  t.equal(decisions[65]?.action, 'hold') // at the new weight it counts anew
  t.equal(decisions.at(-1)?.action, 'advance')
  t.end()
})

t.test('a billion requests at every look, and a hundred thousand looks, stay finite', t => {
  const judge = createJudge(options())
  const looks = 100_000
  const started = process.hrtime.bigint()
  let last: Decision | undefined
  for (let index = 0; index < looks; index++) {
    const requests = index * 1e9
    last = judge.step({
      t: index * 5,
      weights: { stable: 5000, candidate: 5000 },
      series: ['stable', 'candidate'].map(variant => ({
        id: 'gw',
        variant,
        requests,
        failures: requests / 100,
      })),
    })
  }
  const microsecondsPerLook = Number(process.hrtime.bigint() - started) / 1000 / looks
  t.ok(last && Number.isFinite(last.e) && Number.isFinite(last.u))
  t.not(last?.action, 'withdraw')
  t.ok(microsecondsPerLook < 250, `${microsecondsPerLook} microseconds a look`)
  t.end()
})

t.test('a latency objective between two buckets is judged at the upper one, and decisions say so', t => {
  const reasonOf = (atMostMs: number) => judged(healthy(2, 6), { latency: { atMostMs } }).at(-1)?.reason
  t.match(reasonOf(500), /500 ms is between two latency buckets and judged at 534 ms/)
  t.match(reasonOf(20_000), /no latency bucket reaches 20000 ms/)
  t.notMatch(reasonOf(533.595), /buckets/)
  t.end()
})
