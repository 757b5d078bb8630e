// The processes beside the judge's own: A/B winner, sample ratio, completion, agreement, drift, ejection.
import t from 'tap'
import { createAbTest } from '../../controller/judge/ab.ts'
import { createAgreement } from '../../controller/judge/agreement.ts'
import { createDrift } from '../../controller/judge/drift.ts'
import { ruleOnEjection } from '../../controller/judge/ejection.ts'
import { createCompletionWatch } from '../../controller/judge/completion.ts'
import { createSampleRatio } from '../../controller/judge/sample-ratio.ts'
import { createRandom, type Random } from '../../bench/judge/random.ts'

t.test('perfect agreement below 1 % is certified after 376 pairs at 5 %, after 555 at 1 %', t => {
  for (const [level, pairs] of [
    [0.05, 376],
    [0.01, 555],
  ] as const) {
    const agreement = createAgreement({ limit: 0.01, level })
    agreement.step(0, pairs - 1)
    t.notOk(agreement.isCertified())
    agreement.step(0, 1)
    t.ok(agreement.isCertified())
  }
  t.end()
})

t.test('a disagreement rules out the bet on none at all, and more pairs make up for it', t => {
  const agreement = createAgreement({ limit: 0.01, level: 0.05 })
  agreement.step(1, 376)
  t.notOk(agreement.isCertified())
  agreement.step(0, 1000)
  t.ok(agreement.isCertified())
  t.end()
})

t.test('what stable disagrees with itself is no disagreement of the candidate', t => {
  const strict = createAgreement({ limit: 0.01, level: 0.05 })
  const allowing = createAgreement({ limit: 0.01, level: 0.05, noiseFloor: 0.02 })
  for (const agreement of [strict, allowing]) agreement.step(100, 5000)
  t.notOk(strict.isCertified())
  t.ok(allowing.isCertified())
  t.end()
})

t.test('a disagreement at the limit is certified in no more than the level allows', t => {
  const random = createRandom(5)
  const certified = count(400, () => {
    const agreement = createAgreement({ limit: 0.02, level: 0.05 })
    for (let look = 0; look < 200; look++) agreement.step(random.binomial(20, 0.02), 20)
    return agreement.isCertified()
  })
  t.ok(certified <= 400 * 0.05, String(certified))
  t.end()
})

const TWO_ARMS = { control: 'stable', arms: ['candidate'] }

t.test('an arm that is liked more wins, and one that is liked less loses', t => {
  t.equal(verdictAfter(createRandom(1), { candidate: 0.6, looks: 200 }), 'better')
  t.equal(verdictAfter(createRandom(1), { candidate: 0.4, looks: 200 }), 'worse')
  t.end()
})

t.test('equal arms are told apart in no more than 5 % of tests, looked at all the time', t => {
  const random = createRandom(2)
  const decided = count(300, () => verdictAfter(random, { candidate: 0.5, looks: 100 }) !== 'undecided')
  t.ok(decided <= 15, String(decided))
  t.end()
})

function verdictAfter(random: Random, { candidate, looks }: { candidate: number; looks: number }) {
  const test = createAbTest(TWO_ARMS)
  for (let look = 0; look < looks; look++) {
    test.step({
      stable: { successes: random.binomial(20, 0.5), trials: 20 },
      candidate: { successes: random.binomial(20, candidate), trials: 20 },
    })
    const verdict = test.standings()[0]?.verdict
    if (verdict !== 'undecided') return verdict
  }
  return 'undecided'
}

t.test('with more arms each needs as many times more evidence', t => {
  const feedback = { successes: 14, trials: 20 }
  const two = createAbTest(TWO_ARMS)
  const four = createAbTest({ control: 'stable', arms: ['candidate', 'b', 'c'] })
  const looksUntil = (test: ReturnType<typeof createAbTest>) => {
    for (let look = 1; look < 500; look++) {
      test.step({ stable: { successes: 10, trials: 20 }, candidate: feedback })
      if (test.standings()[0]?.verdict === 'better') return look
    }
    return Infinity
  }
  t.ok(looksUntil(two) < looksUntil(four))
  t.end()
})

t.test('a split as asked for is no mismatch, whatever the weights do', t => {
  const random = createRandom(3)
  const mismatched = count(300, () => {
    const ratio = createSampleRatio()
    return Array.from({ length: 200 }, (_, look) => {
      const share = [0.01, 0.1, 0.5][look % 3] ?? 0.5
      const candidate = random.binomial(100, share)
      ratio.step({ candidate, stable: 100 - candidate }, share)
      return ratio.isMismatched()
    }).includes(true)
  })
  t.ok(mismatched <= 1, String(mismatched))
  t.end()
})

t.test('a tenth where a fifth was asked for is a mismatch, until the split is right again', t => {
  const ratio = createSampleRatio()
  for (let look = 0; look < 10; look++) ratio.step({ candidate: 10, stable: 90 }, 0.2)
  t.ok(ratio.isMismatched())
  for (let look = 0; look < 100; look++) ratio.step({ candidate: 20, stable: 80 }, 0.2)
  t.notOk(ratio.isMismatched())
  t.end()
})

t.test(
  'a variant that takes requests and returns none is missed, one that is slow within the time is not',
  t => {
    const hanging = createCompletionWatch(15)
    const slow = createCompletionWatch(15)
    const missing = Array.from({ length: 10 }, (_, look) => {
      const t = look * 5
      return {
        hanging: hanging({ t, assigned: 20 * look, completed: 0 }).requests,
        slow: slow({ t, assigned: 20 * look, completed: Math.max(0, 20 * (look - 2)) }).requests,
      }
    })
    t.same(
      missing.map(({ hanging }) => hanging),
      [0, 0, 0, 0, 20, 40, 60, 80, 100, 120],
    )
    t.ok(missing.every(({ slow }) => slow === 0))
    t.end()
  },
)

t.test('a gateway that restarted is not taken for requests that went missing', t => {
  const watch = createCompletionWatch(10)
  for (let look = 0; look < 5; look++) watch({ t: look * 5, assigned: 100 * look, completed: 100 * look })
  t.match(watch({ t: 25, assigned: 10, completed: 10 }), { requests: 0 })
  t.match(watch({ t: 30, assigned: 20, completed: 20 }), { requests: 0 })
  t.end()
})

t.test('what went missing once is forgotten after a minute', t => {
  const watch = createCompletionWatch(10)
  const missing = Array.from({ length: 121 }, (_, second) => {
    const completed = 20 * Math.max(0, second - 30) // the first 30 seconds hang
    return watch({ t: second, assigned: 20 * second, completed }).requests
  })
  t.ok((missing[30] ?? 0) > 300)
  t.ok((missing[50] ?? 0) > 300)
  t.same(missing.slice(101), Array(20).fill(0))
  t.end()
})

t.test('classes predicted equally often are no drift, even rare ones', t => {
  const random = createRandom(4)
  const drifting = count(200, () => driftAfter(random, [0.7, 0.2, 0.08, 0.02]).includes(true))
  t.ok(drifting <= 1, String(drifting))
  t.end()
})

t.test('a class predicted far more often is drift; a small difference that is certain is not', t => {
  t.ok(driftAfter(createRandom(4), [0.4, 0.5, 0.08, 0.02]).at(-1))
  const drift = createDrift()
  for (let look = 0; look < 100; look++) drift.step(byLabel([5300, 4700]), byLabel([5000, 5000]))
  t.ok(drift.logValue() > Math.log(1000))
  t.notOk(drift.isDrifting())
  t.end()
})

t.test(
  'a class that is predicted for the first time is no drift by itself, and by only one of them it is',
  t => {
    const both = createDrift()
    const one = createDrift()
    for (let look = 0; look < 100; look++) {
      const stable = new Map([['bread', 80]])
      const further = new Map([['soup', 20], ...stable])
      both.step(look < 50 ? stable : further, look < 50 ? stable : further)
      one.step(look < 50 ? stable : further, stable)
      t.notOk(both.isDrifting())
    }
    t.ok(one.isDrifting())
    t.end()
  },
)

function byLabel(counts: readonly number[]): ReadonlyMap<string, number> {
  return new Map(counts.map((count, k) => [`class ${k}`, count]))
}

/** Stable predicts four classes at 0.7, 0.2, 0.08, 0.02; the candidate as given. */
function driftAfter(random: Random, shares: readonly number[]): boolean[] {
  const drift = createDrift()
  return Array.from({ length: 100 }, () => {
    const stable = classes(random, 100, [0.7, 0.2, 0.08, 0.02])
    drift.step(byLabel(classes(random, 20, shares)), byLabel(stable))
    return drift.isDrifting()
  })
}

function classes(random: Random, total: number, shares: readonly number[]): number[] {
  let left = total
  let share = 1
  return shares.map(part => {
    const drawn = random.binomial(left, Math.min(1, part / share))
    left -= drawn
    share -= part
    return drawn
  })
}

function count(times: number, holds: () => boolean): number {
  return Array.from({ length: times }, holds).filter(Boolean).length
}

t.test(
  'an ejected candidate is withdrawn on evidence, or after three failed trials, but never into an outage',
  t => {
    const facts = { candidateEjected: true, stableHealthy: true, failedTrials: 0, e: 1, threshold: 100 }
    t.match(ruleOnEjection({ ...facts, candidateEjected: false }), { action: 'none' })
    t.match(ruleOnEjection(facts), { action: 'hold' })
    t.match(ruleOnEjection({ ...facts, e: 120 }), { action: 'withdraw', cause: 'evidence' })
    t.match(ruleOnEjection({ ...facts, failedTrials: 2 }), { action: 'hold' })
    t.match(ruleOnEjection({ ...facts, failedTrials: 3 }), { action: 'withdraw', cause: 'unavailable' })
    t.match(ruleOnEjection({ ...facts, stableHealthy: false, failedTrials: 9, e: 1e9 }), { action: 'hold' })
    t.end()
  },
)
