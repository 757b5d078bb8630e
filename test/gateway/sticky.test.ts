import { test } from 'tap'
import { createPinning, unitHash } from '../../gateway/worker/sticky.ts'

const GOLDEN_EMPTY = '0.370693256952'
const GOLDEN_USER = '0.726648776328'

const USERS = Array.from({ length: 20_000 }, (_, index) => `user-${index}`)

function deal(weights: Record<string, number>, salt = 'food11'): (string | undefined)[] {
  const shares = Object.entries(weights).map(([variant, weightBp]) => ({ variant, weightBp }))
  return USERS.map(createPinning(shares, salt))
}

function count(dealt: readonly (string | undefined)[], variant: string): number {
  return dealt.filter(name => name === variant).length
}

test('the hash never changes: every user would be dealt anew', async t => {
  t.equal(unitHash('').toFixed(12), GOLDEN_EMPTY)
  t.equal(unitHash('user-1').toFixed(12), GOLDEN_USER)
})

test('shares of users are the weights', async t => {
  const dealt = deal({ a: 6000, b: 3000, c: 1000 })
  t.ok(Math.abs(count(dealt, 'a') - 12_000) < 280)
  t.ok(Math.abs(count(dealt, 'b') - 6000) < 260)
  t.ok(Math.abs(count(dealt, 'c') - 2000) < 170)
})

test('raising a weight moves users to that variant only', async t => {
  const before = deal({ stable: 8000, candidate: 2000 })
  const after = deal({ stable: 5000, candidate: 5000 })
  t.notOk(before.some((variant, user) => variant === 'candidate' && after[user] !== 'candidate'))
})

test('the order in which variants are listed does not matter', async t => {
  t.same(deal({ candidate: 2000, stable: 8000 }), deal({ stable: 8000, candidate: 2000 }))
})

test('another salt deals other users', async t => {
  const [a, b] = [deal({ stable: 5000, candidate: 5000 }), deal({ stable: 5000, candidate: 5000 }, 'other')]
  const same = a.filter((variant, user) => variant === b[user]).length
  t.ok(Math.abs(same - 10_000) < 300, String(same))
})
