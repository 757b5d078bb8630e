// The single processes: their golden values, and what must hold for any of them.
import t from 'tap'
import { createAbsolute } from '../../controller/judge/absolute.ts'
import { createBound } from '../../controller/judge/bound.ts'
import type { Counts } from '../../controller/judge/e-value.ts'
import { createHarm, createRestartMass } from '../../controller/judge/harm.ts'
import { pairBounds } from '../../controller/judge/latency.ts'
import { createTemper, type MetricBlock } from '../../controller/judge/temper.ts'
import { createRandom } from '../../bench/judge/random.ts'

/** All within the first minute, so that nothing is tempered. */
function block(counts: Counts, index = 0): MetricBlock {
  return { counts, t: index / 1e6, seconds: 5, weightsEpoch: 0 }
}

const near = (actual: number, expected: number, precision: number) => Math.abs(actual - expected) <= precision

t.test('the failure mixture has its golden values', t => {
  const harm = createHarm({ toleranceRatio: 1, restartMass: ({ isFirst }) => (isFirst ? 0.5 : 0.001) })
  const counts = [0, 0, 2, 2].map(xc => ({ xc, nc: 5, xs: 1, ns: 95 }))
  const values = counts.map((count, index) => {
    harm.step(block(count, index))
    return harm.logValue()
  })
  const golden = [-0.1393, -0.2067, 1.2888, 4.4925]
  for (const [index, value] of values.entries()) t.ok(near(value, golden[index] ?? 0, 5e-5), String(value))
  t.end()
})

t.test('the upper bound has its golden values', t => {
  const bound = createBound()
  const values = [0, 1, 2, 3, 4].map(index => {
    bound.step(block({ xc: 0, nc: 100, xs: 1, ns: 900 }, index))
    return bound.upper()
  })
  const golden = [0.04236, 0.02065, 0.01341, 0.0098, 0.00762]
  for (const [index, value] of values.entries()) t.ok(near(value, golden[index] ?? 0, 5e-6), String(value))
  t.end()
})

t.test('nothing is known about the excess before the first block, nor from a handful of requests', t => {
  const bound = createBound()
  t.equal(bound.upper(), 1)
  bound.step(block({ xc: 0, nc: 1, xs: 0, ns: 1 }))
  t.equal(bound.upper(), 1)
  t.end()
})

t.test(
  'one more failure of the candidate never lowers the failure process, one of stable never raises it',
  t => {
    const random = createRandom(11)
    for (let run = 0; run < 200; run++) {
      const history = Array.from({ length: 12 }, () => draw(random))
      const at = Math.floor(random.uniform() * history.length)
      const value = valueOf(history)
      t.ok(valueOf(moved(history, at, 'xc')) >= value - 1e-12)
      t.ok(valueOf(moved(history, at, 'xs')) <= value + 1e-12)
    }
    t.end()
  },
)

function draw(random: ReturnType<typeof createRandom>): Counts {
  const nc = 1 + random.poisson(20)
  const ns = 1 + random.poisson(200)
  return { nc, ns, xc: random.binomial(nc - 1, 0.1), xs: random.binomial(ns - 1, 0.1) }
}

function moved(history: readonly Counts[], at: number, kind: 'xc' | 'xs'): Counts[] {
  return history.map((counts, index) => (index === at ? { ...counts, [kind]: counts[kind] + 1 } : counts))
}

function valueOf(history: readonly Counts[]): number {
  const harm = createHarm({ toleranceRatio: 1.1, restartMass: createRestartMass(1440) })
  for (const [index, counts] of history.entries()) harm.step(block(counts, index))
  return harm.logValue()
}

t.test('splitting a block in two at a constant share changes the plain sums by less than 1e-9', t => {
  const whole = { xc: 6, nc: 60, xs: 11, ns: 540 }
  const parts = [
    { xc: 2, nc: 20, xs: 8, ns: 180 },
    { xc: 4, nc: 40, xs: 3, ns: 360 },
  ]
  const boundOf = (history: readonly Counts[]) => {
    const bound = createBound()
    for (const [index, counts] of history.entries()) bound.step(block(counts, index))
    return bound.upper()
  }
  const absoluteOf = (history: readonly Counts[]) => {
    const absolute = createAbsolute(0.02)
    for (const { xc, nc } of history) absolute.step(xc, nc)
    return absolute.logValue()
  }
  t.ok(near(boundOf([whole]), boundOf(parts), 1e-9))
  t.ok(near(absoluteOf([whole]), absoluteOf(parts), 1e-9))
  t.end()
})

t.test('tempering waits for a complete minute and then grows with what minutes differ by', t => {
  const steady = createTemper(1)
  const noisy = createTemper(1)
  const phis = Array.from({ length: 36 }, (_, index) => {
    const minute = Math.floor(index / 12)
    const at = { t: index * 5, seconds: 5, weightsEpoch: 0 }
    return {
      steady: steady({ ...at, counts: { xc: 20, nc: 1000, xs: 20, ns: 1000 } }),
      noisy: noisy({ ...at, counts: { xc: minute % 2 === 0 ? 10 : 40, nc: 1000, xs: 20, ns: 1000 } }),
    }
  })
  t.ok(phis.slice(0, 12).every(({ steady, noisy }) => steady === 1 && noisy === 1))
  t.ok(phis.slice(12).every(({ steady }) => steady > 1))
  const last = phis.at(-1)
  t.ok(last && last.noisy > 5 * last.steady, JSON.stringify(last))
  t.end()
})

t.test(
  'an objective that allows a fifth of failures loses the ratios that lead beyond certainty, and no more',
  t => {
    const absolute = createAbsolute(0.2)
    absolute.step(0, 10)
    t.ok(Number.isFinite(absolute.logValue()))
    absolute.step(900, 1000)
    t.ok(absolute.logValue() > 100)
    t.end()
  },
)

t.test('latency bounds are paired with the next that is slower by the tolerance', t => {
  const gateway = Array.from({ length: 81 }, (_, k) => Number((0.005 * 1.1 ** k).toPrecision(6)))
  const pairs = pairBounds(gateway, 1.1)
  t.equal(pairs.length, 80)
  t.ok(pairs.every(({ comparator, candidate }) => candidate === comparator + 1))
  t.ok(pairBounds(gateway, 1.5).every(({ comparator, candidate }) => candidate === comparator + 5))
  t.end()
})

t.test('where latency bounds are coarse each is its own pair, the last one too', t => {
  t.same(pairBounds([0.1, 0.25, 0.5], 1.1), [
    { comparator: 0, candidate: 0 },
    { comparator: 1, candidate: 1 },
    { comparator: 2, candidate: 2 },
  ])
  t.end()
})
