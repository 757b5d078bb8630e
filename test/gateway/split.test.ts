import { test } from 'tap'
import { createSplit, type Share } from '../../gateway/worker/split.ts'

function shares(weights: Record<string, number>): Share[] {
  return Object.entries(weights).map(([variant, weightBp]) => ({ variant, weightBp }))
}

test('after any number of requests each variant is within 1 of its share', async t => {
  const cases: Record<string, number>[] = [
    { stable: 9000, candidate: 1000 },
    { stable: 9950, candidate: 50 },
    { stable: 9999, candidate: 1 },
    { a: 3333, b: 3333, c: 3334 },
    { a: 7000, b: 2000, c: 700, d: 299, e: 1 },
  ]
  for (const weights of cases) {
    const next = createSplit(shares(weights))
    const dealt: Record<string, number> = {}
    let worst = 0
    for (let n = 1; n <= 20_000; n++) {
      const variant = next() ?? ''
      dealt[variant] = (dealt[variant] ?? 0) + 1
      for (const [name, weight] of Object.entries(weights))
        worst = Math.max(worst, Math.abs((dealt[name] ?? 0) - (n * weight) / 10_000))
    }
    t.ok(worst < 1, `${JSON.stringify(weights)}: ${worst}`)
  }
})

test('a variant without weight is never dealt, one alone gets everything, none closes the route', async t => {
  const next = createSplit(shares({ stable: 10_000 }))
  t.equal(next(), 'stable')
  t.equal(next(), 'stable')
  t.equal(createSplit([])(), undefined)
})
