import t from 'tap'
import { createBound } from '../../controller/judge/bound.ts'
import type { MetricBlock } from '../../controller/judge/temper.ts'

const block = (index: number, failures = 0): MetricBlock => ({
  counts: { xc: failures, nc: 10, xs: failures * 9, ns: 90 },
  t: index / 1e6,
  seconds: 5,
  weightsEpoch: 0,
})

t.test('without traffic there is nothing to go by', t => {
  t.equal(createBound().forecast(0.01), undefined)
  t.end()
})

t.test('the requests forecast are about those that it takes, and their time is that of the traffic', t => {
  const bound = createBound()
  for (let index = 0; index < 20; index++) bound.step(block(index))
  const forecast = bound.forecast(0.004)
  let taken = 0
  for (; bound.upper() > 0.004; taken += 10) bound.step(block(20 + taken))
  t.ok(taken > 300)
  t.ok(
    Math.abs((forecast?.candidateRequests ?? 0) / taken - 1) < 0.2,
    `${forecast?.candidateRequests} ${taken}`,
  )
  t.equal(forecast?.seconds, (forecast?.candidateRequests ?? 0) / 2)
  t.match(bound.forecast(0.004), { candidateRequests: 0, seconds: 0 })
  t.end()
})

t.test('the smaller the excess to be ruled out, the more requests it takes', t => {
  const bound = createBound()
  for (let index = 0; index < 3; index++) bound.step(block(index))
  const needed = [0.05, 0.02, 0.01, 0.002].map(budget => bound.forecast(budget)?.candidateRequests ?? 0)
  t.same(
    needed,
    needed.toSorted((a, b) => a - b),
  )
  t.end()
})

t.test('failures that both have make it take longer', t => {
  const [clean, failing] = [createBound(), createBound()]
  for (let index = 0; index < 20; index++) {
    clean.step(block(index))
    failing.step(block(index, index % 4 === 0 ? 1 : 0))
  }
  t.ok((failing.forecast(0.005)?.seconds ?? 0) > 2 * (clean.forecast(0.005)?.seconds ?? Infinity))
  t.end()
})
