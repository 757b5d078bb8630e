import t from 'tap'
import type { Look } from '../../contract/history.ts'
import { parseCondition } from '../../controller/judge/condition.ts'
import {
  createCustomMetric,
  type CustomMetric,
  type Measurement,
} from '../../controller/judge/custom-metric.ts'
import { createCustomMetrics } from '../../controller/judge/custom-metrics.ts'

t.test('a condition compares the result with numbers', t => {
  const holds: readonly (readonly [string, number, boolean])[] = [
    ['result < 0.01', 0.005, true],
    ['result < 0.01', 0.01, false],
    ['result[0] >= 0.95', 0.95, true],
    ['0.95 <= result', 0.9, false],
    ['result == -1.5e3', -1500, true],
    ['result != 0', 0, false],
    ['result > 1 && result < 2', 1.5, true],
    ['result < 1 || result > 2', 1.5, false],
    ['result < 1 || result > 2 && result < 3', 0, true],
    ['(result < 1 || result > 2) && result > .5', 0, false],
    ['!(result < 1)', 1, true],
    ['  result<1  ', 0, true],
  ]
  for (const [text, result, expected] of holds) t.equal(parseCondition(text)(result), expected, text)
  t.end()
})

t.test('NaN satisfies nothing, negated or not', t => {
  for (const comparison of ['<', '<=', '>', '>=', '==', '!='])
    for (const condition of [
      `result ${comparison} 1`,
      `!(result ${comparison} 1)`,
      `!(!(result ${comparison} 1))`,
    ])
      t.notOk(parseCondition(condition)(Number.NaN), condition)
  t.end()
})

t.test('anything else is refused, naming what was not understood', t => {
  const refused = {
    '': /expected `result` or a number at ""/,
    result: /expected a comparison/,
    'result <': /expected `result` or a number/,
    'result < 1 result > 2': /expected &&, \|\| or the end at "result > 2"/,
    '(result < 1': /expected "\)"/,
    'results < 1': /expected `result` or a number at "results < 1"/,
    'process.exit() < 1': /at "process\.exit\(\) < 1"/,
    'result < 1; 2': /at "; 2"/,
    'result = 1': /expected a comparison/,
    '1 < 2': /without `result`/,
    'result < 1x': /expected `result` or a number at "1x"/,
  }
  for (const [text, message] of Object.entries(refused)) t.throws(() => parseCondition(text), message, text)
  t.throws(() => parseCondition(`${'('.repeat(50)}result < 1`), /nested too deeply|at most 200/)
  t.throws(() => parseCondition(`${'!'.repeat(300)}result < 1`), /nested too deeply|at most 200/)
  t.end()
})

const METRIC: CustomMetric = {
  name: 'gpu-errors',
  successCondition: 'result < 0.01',
  failureCondition: 'result > 0.5',
  failureLimit: 3,
  consecutiveErrorLimit: 2,
}
const value = (value: number): Measurement => ({ kind: 'value', value })
const error: Measurement = { kind: 'error', reason: 'no answer' }
const actions = (measurements: readonly Measurement[], metric: Partial<CustomMetric> = {}) =>
  measurements.map(createCustomMetric({ ...METRIC, ...metric })).map(({ action }) => action)

t.test('the success condition gates advancing, and never withdraws', t => {
  t.same(actions([value(0.001), value(0.1), value(0.1), value(0.1), value(0.1), value(0.001)]), [
    'pass',
    'hold',
    'hold',
    'hold',
    'hold',
    'pass',
  ])
  t.end()
})

t.test('the failure condition withdraws only after its number of looks in a row, and then for good', t => {
  const sequence = [0.9, 0.9, 0.2, 0.9, 0.9, 0.9, 0].map(value)
  t.same(actions(sequence), ['hold', 'hold', 'hold', 'hold', 'hold', 'withdraw', 'withdraw'])
  t.end()
})

t.test('a withdrawal is named as a rule of the operator', t => {
  const rule = createCustomMetric({ ...METRIC, failureLimit: 1 })
  t.match(rule(value(0.9)), { action: 'withdraw', reason: /operator's rule for gpu-errors: result > 0\.5/ })
  t.end()
})

t.test('errors hold, too many in a row pause, and none of them counts as a failure', t => {
  t.same(actions([error, error, error, value(0), error]), ['hold', 'hold', 'pause', 'pass', 'hold'])
  t.same(actions([value(0.9), value(0.9), error, error]), ['hold', 'hold', 'hold', 'hold'])
  t.end()
})

t.test('a dry run has no effect, and is told', t => {
  const rule = createCustomMetrics([
    { ...METRIC, successCondition: undefined, query: 'q', failureLimit: 1, dryRun: true },
  ])
  const at = (metrics: Look['metrics']) => rule({ t: 0, weights: {}, series: [], metrics })
  t.match(at([{ name: 'gpu-errors', value: 0.1 }]), [{ action: 'pass', reason: null, value: 0.1 }])
  t.match(at([{ name: 'gpu-errors', value: 0.9 }]), [
    { action: 'pass', reason: /^dry run, would withdraw: / },
  ])
  t.end()
})

t.test('NaN and infinities are values as recorded, and what was not recorded was not measured', t => {
  const rule = createCustomMetrics([{ ...METRIC, query: 'q', dryRun: false }])
  const at = (metrics: Look['metrics']) => rule({ t: 0, weights: {}, series: [], metrics })[0]
  t.match(at([{ name: 'gpu-errors', value: 'NaN' }]), { action: 'hold', value: 'NaN' })
  t.match(at([{ name: 'gpu-errors', value: '-Inf' }]), { action: 'pass', value: '-Inf' })
  t.match(at(undefined), { action: 'hold', value: null, reason: /not measured at this look/ })
  t.match(at([{ name: 'gpu-errors', error: 'no answer' }]), { action: 'hold', reason: /no answer/ })
  t.end()
})
