import t from 'tap'
import { parseExposition } from '../../lib/exposition.ts'

t.test('samples with labels, escapes, time stamps and special numbers are read', async t => {
  const text = [
    '# HELP a_total what it is',
    '# TYPE a_total counter',
    'a_total{route="food11",path="C:\\\\x \\"q\\" \\n"} 12 1700000000000',
    'b 1.5e3',
    'c_bucket{le="+Inf"} +Inf',
    'd NaN',
    '',
  ].join('\n')
  const [a, b, c, d] = parseExposition(text)
  t.same(a, { name: 'a_total', labels: { route: 'food11', path: 'C:\\x "q" \n' }, value: 12 })
  t.same(b, { name: 'b', labels: {}, value: 1500 })
  t.equal(c?.value, Infinity)
  t.ok(Number.isNaN(d?.value))
})

t.test('anything else is refused with its line', async t => {
  t.throws(() => parseExposition('a 1\n<html>'), { message: /line 2/ })
  t.throws(() => parseExposition('a one'), { message: /line 1/ })
})
