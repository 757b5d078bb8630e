import t from 'tap'
import type { Look } from '../../contract/history.ts'
import { createWatch } from '../../controller/judge/watch.ts'
import { createRandom } from '../../bench/judge/random.ts'
import { options } from './looks.ts'

/** Looks at a candidate that has all traffic and nothing beside it. */
function alone(failureRate: number, looks = 150): Look[] {
  const random = createRandom(9)
  let [requests, failures] = [0, 0]
  return Array.from({ length: looks }, (_, index) => {
    requests += 100
    failures += random.binomial(100, failureRate)
    const series = [{ id: 'gw-0', variant: 'candidate', requests, failures }]
    return { t: index * 5, weights: { candidate: 10_000 }, series }
  })
}

const watch = (looks: readonly Look[], analysis: object) => {
  const { step } = createWatch(options(analysis))
  return looks.map(look => step(look))
}

t.test('a candidate that meets its objective is watched for ten minutes and then advances', t => {
  const decisions = watch(alone(0.01), { successRate: { atLeast: 0.98 } })
  t.ok(decisions.slice(0, 120).every(({ action }) => action === 'hold'))
  t.ok(decisions.slice(120).every(({ action }) => action === 'advance'))
  t.ok(decisions.every(({ reason, u }) => u === 1 && /no version to compare with/.test(reason)))
  t.end()
})

t.test('a candidate that misses its objective is withdrawn and stays so', t => {
  const actions = watch(alone(0.06), { successRate: { atLeast: 0.98 } }).map(({ action }) => action)
  const first = actions.indexOf('withdraw')
  t.ok(first > 0 && first < 60)
  t.ok(actions.slice(first).every(action => action === 'withdraw'))
  t.end()
})

t.test('without an objective nothing can be refuted, and the decision says so', t => {
  const decisions = watch(alone(0.5), {})
  t.ok(decisions.every(({ action, e }) => action !== 'withdraw' && e === 1))
  t.match(decisions[0]?.reason, /no objective is set/)
  t.end()
})

t.test('the end of the watch without data is no pass', t => {
  const blind = alone(0.01).map(look => ({ ...look, series: [] }))
  t.ok(watch(blind, { successRate: { atLeast: 0.98 } }).every(({ action }) => action === 'hold'))
  t.end()
})
