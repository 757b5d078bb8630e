import { t } from 'tap'
import { chooseThreads, parseServeOptions } from '../../serving/options.ts'
import { createDrillSchedule } from '../../serving/drill.ts'

const parse = (...args: string[]) => parseServeOptions(['--model', 'm', ...args])

t.test('defaults are filled in and numbers are numbers', async t => {
  t.match(parse('--port', '0', '--queue=5'), {
    model: 'm',
    host: '127.0.0.1',
    port: 0,
    queue: 5,
    'max-batch': 1,
  })
  t.match(parse('--drill', 'failRate=0.2,delayMs=300'), {
    drill: { failRate: 0.2, delayMs: 300, after: 0, statusCode: 500 },
  })
})

t.test('what is wrong is named', async t => {
  t.throws(() => parse('--porrt', '1'), /--porrt/)
  t.throws(() => parse('--port', '70000'), /--port/)
  t.throws(() => parse('--port', 'x'), /--port/)
  t.throws(() => parse('--drill', 'failrate=1'), /failrate/)
  t.throws(() => parse('--drill', 'failRate'), /failRate/)
  t.throws(() => parse('extra'), /extra/)
  t.throws(() => parseServeOptions([]), /--model.*required/)
  t.throws(() => parseServeOptions(['--model', '']), /--model.*required/)
})

t.test('threads follow the cores, and what was asked for', async t => {
  t.strictSame(chooseThreads(1, {}), { workers: 1, threads: 1 })
  t.strictSame(chooseThreads(2, {}), { workers: 2, threads: 1 })
  t.strictSame(chooseThreads(16, {}), { workers: 4, threads: 4 })
  t.strictSame(chooseThreads(8, { workers: 2 }), { workers: 2, threads: 4 })
  t.strictSame(chooseThreads(8, { workers: 1, threads: 1 }), { workers: 1, threads: 1 })
})

t.test('a drill fails exactly its share, evenly spread, after the first answers', async t => {
  const next = createDrillSchedule({ failRate: 0.3, delayMs: 7, after: 5, statusCode: 500 })
  const effects = Array.from({ length: 105 }, next)
  t.strictSame(
    effects.slice(0, 5),
    Array.from({ length: 5 }, () => ({ delayMs: 0, fails: false })),
  )
  t.equal(effects.filter(({ fails }) => fails).length, 30)
  t.ok(effects.slice(5).every(({ delayMs }) => delayMs === 7))
  const gaps = effects
    .flatMap(({ fails }, at) => (fails ? [at] : []))
    .map((at, index, all) => at - (all[index - 1] ?? at - 3))
  t.ok(gaps.every(gap => gap === 3 || gap === 4))
})
