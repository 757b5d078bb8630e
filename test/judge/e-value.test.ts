import t from 'tap'
import { kSample, logE, logOneSample, type Counts } from '../../controller/judge/e-value.ts'

const near = (actual: number, expected: number, precision = 1e-6) => Math.abs(actual - expected) < precision

t.test('the e-value of a block has its golden values', t => {
  const late: Counts = { xc: 3, nc: 5, xs: 1, ns: 95 }
  t.ok(near(logE(late, 10), 5.421501))
  t.ok(near(logE({ xc: 0, nc: 50, xs: 5, ns: 950 }, 0.25, { d: 0.01 }), 0.561236))
  t.ok(near(logE({ xc: 4, nc: 40, xs: 9, ns: 360 }, 5, { d: 0.001, r: 1.1 }), 1.637469))
  t.end()
})

t.test('the one-sample and the k-sample e-value have their golden values', t => {
  t.ok(near(logOneSample(8, 100, 0.05, 0.1), 0.570993))
  t.ok(near(kSample([5, 1], [2, 8], { tc: [0.7, 0.3], ts: [0.4, 0.6] }), 2.238833))
  t.end()
})

t.test('a block in which one side handled nothing says nothing', t => {
  t.equal(logE({ xc: 5, nc: 5, xs: 0, ns: 0 }, 10), 0)
  t.equal(logE({ xc: 0, nc: 0, xs: 5, ns: 5 }, 10), 0)
  t.equal(kSample([0, 0], [0, 0], { tc: [0.5, 0.5], ts: [0.5, 0.5] }), 0)
  t.end()
})

interface Case {
  readonly nc: number
  readonly ns: number
  readonly pc: number
  readonly ps: number
  readonly rho: number
  readonly d: number
  readonly r: number
  readonly phi: number
}

const SIZES = [
  { nc: 1, ns: 99 },
  { nc: 3, ns: 7 },
  { nc: 10, ns: 10 },
  { nc: 20, ns: 3 },
]
const RATES = [0, 0.001, 0.01, 0.05, 0.2, 0.5, 0.9, 1]

function* grid(): Generator<Omit<Case, 'pc' | 'rho'>> {
  for (const { nc, ns } of SIZES)
    for (const ps of RATES)
      for (const d of [0, 0.01, 0.1])
        for (const r of [1, 1.1, 2]) for (const phi of [1, 1.7, 6]) yield { nc, ns, ps, d, r, phi }
}

/** Rates from 0 up to the margin, against ratios of harm. */
function* noWorse(): Generator<Case> {
  for (const at of grid())
    for (const part of [0, 0.3, 0.7, 1])
      for (const rho of [1.25, 2, 10, 100]) yield { ...at, rho, pc: part * Math.min(1, at.r * at.ps + at.d) }
}

/** Rates from the margin up to 1, against the ratios that bound the excess. */
function* worse(): Generator<Case> {
  for (const at of grid()) {
    const least = at.r * at.ps + at.d
    if (least > 1) continue
    for (const part of [0, 0.3, 0.7, 1])
      for (const rho of [0.02, 0.25, 0.65, 0.96]) yield { ...at, rho, pc: least + part * (1 - least) }
  }
}

t.test('the expectation of e is at most 1 where the candidate is no worse than the margin', t => {
  const cases = [...noWorse()]
  t.ok(cases.length > 3000)
  t.same(
    cases.filter(at => expectation(at) > 1 + 1e-9),
    [],
  )
  t.end()
})

t.test('the expectation of e is at most 1 where the candidate is worse by the margin or more', t => {
  const cases = [...worse()]
  t.ok(cases.length > 3000)
  t.same(
    cases.filter(at => expectation(at) > 1 + 1e-9),
    [],
  )
  t.end()
})

/** Over all outcomes. The log e-value is a sum of a part for each side, so the expectation is a product of two sums. */
function expectation({ nc, ns, pc, ps, rho, d, r, phi }: Case): number {
  const at = (xc: number, xs: number) => logE({ xc, nc, xs, ns }, rho, { d, r }) / phi
  const none = at(0, 0)
  const candidate = mean(nc, pc, xc => Math.exp(at(xc, 0)))
  const stable = mean(ns, ps, xs => Math.exp(at(0, xs) - none))
  return candidate * stable
}

function mean(n: number, p: number, f: (x: number) => number): number {
  let sum = 0
  let ways = 1
  for (let x = 0; x <= n; x++) {
    sum += ways * p ** x * (1 - p) ** (n - x) * f(x)
    ways = (ways * (n - x)) / (x + 1)
  }
  return sum
}
