import t from 'tap'
import { createRandom, type Random } from '../../bench/judge/random.ts'
import type { Counted, Decision, Look } from '../../contract/history.ts'
import { rolloutSpec } from '../../contract/rollout.ts'
import { createAbTest } from '../../controller/judge/ab.ts'
import { createJudgeFor } from '../../controller/judge/judge-for.ts'

// Three versions: stable, the control, and two that are compared with it. Looked at after every few users.

const MANY = Array.from({ length: 8 }, (_, index) => `arm-${index}`)

const ARMS = ['candidate', 'arm-3'] as const
const RUNS = 1000
const LOOKS = 150

interface Experiment {
  /** The share of users for whom it goes as is wanted, by variant. */
  readonly rates: Readonly<Record<string, number>>
  /** Users between two looks, by variant. */
  readonly users: Readonly<Record<string, number>>
}

/** The verdicts at the first look at which there is any. */
function firstVerdicts(random: Random, { rates, users }: Experiment): readonly string[] {
  const test = createAbTest({ control: 'stable', arms: ARMS })
  const tell = (variant: string) => {
    const trials = users[variant] ?? 0
    return [variant, { successes: random.binomial(trials, rates[variant] ?? 0), trials }]
  }
  for (let look = 0; look < LOOKS; look++) {
    test.step(Object.fromEntries(['stable', ...ARMS].map(tell)))
    const verdicts = test.standings().map(({ verdict }) => verdict)
    if (verdicts.some(verdict => verdict !== 'undecided')) return verdicts
  }
  return []
}

const alike = (rate: number) => ({ stable: rate, candidate: rate, 'arm-3': rate })
const EQUAL = { stable: 20, candidate: 20, 'arm-3': 20 }

t.test(
  'of three versions that are alike one is declared the winner in no more than 2.5 % of experiments, any is decided in no more than 5 %',
  t => {
    const worlds: Readonly<Record<string, Experiment>> = {
      'half of the users': { rates: alike(0.5), users: EQUAL },
      'few users': { rates: alike(0.03), users: { stable: 60, candidate: 60, 'arm-3': 60 } },
      'most users': { rates: alike(0.9), users: EQUAL },
      'shares that differ': { rates: alike(0.2), users: { stable: 80, candidate: 30, 'arm-3': 10 } },
    }
    for (const [index, [name, world]] of Object.entries(worlds).entries()) {
      const runs = Array.from({ length: RUNS }, (_, run) =>
        firstVerdicts(createRandom(5 + index, run), world),
      )
      const won = runs.filter(verdicts => verdicts.includes('better')).length
      const decided = runs.filter(verdicts => verdicts.length > 0).length
      t.ok(won <= 0.025 * RUNS, `${name}: ${won} of ${RUNS} won`)
      t.ok(decided <= 0.05 * RUNS, `${name}: ${decided} of ${RUNS} decided`)
    }
    t.end()
  },
)

t.test('without the split of the level the arms together would be declared winners more often', t => {
  const random = createRandom(11)
  const anyBetter = (comparisons: number) => {
    const test = createAbTest({ control: 'stable', arms: MANY, comparisons })
    for (let look = 0; look < 100; look++) {
      const told = ['stable', ...MANY].map(arm => [arm, { successes: random.binomial(20, 0.5), trials: 20 }])
      test.step(Object.fromEntries(told))
      if (test.standings().some(({ verdict }) => verdict === 'better')) return true
    }
    return false
  }
  const of = (comparisons: number) =>
    Array.from({ length: 300 }, () => anyBetter(comparisons)).filter(Boolean).length
  const [together, split] = [of(1), of(MANY.length)]
  t.ok(together > 0.025 * 300, `${together} of 300 with one level for each of ${MANY.length}`)
  t.ok(split <= 0.025 * 300, `${split} of 300 with the level split`)
  t.end()
})

t.test('the better of two is found, and the worse of two, each against stable', t => {
  const better = { rates: { stable: 0.4, candidate: 0.4, 'arm-3': 0.55 }, users: EQUAL }
  const worse = { rates: { stable: 0.4, candidate: 0.25, 'arm-3': 0.4 }, users: EQUAL }
  const runs = (world: Experiment) =>
    Array.from({ length: 50 }, (_, run) => firstVerdicts(createRandom(9, run), world).join())
  t.ok(runs(better).filter(verdicts => verdicts === 'undecided,better').length >= 47)
  t.ok(runs(worse).filter(verdicts => verdicts === 'worse,undecided').length >= 47)
  t.end()
})

const spec = rolloutSpec.parse({
  route: 'food11',
  modelVersion: '2',
  strategy: { ab: { arms: [{ version: '3' }], goal: { outcome: 'ordered' } } },
  analysis: { interval: '1s', settle: '2s' },
})

/** Looks at a gateway through which users of each variant order at a rate; requests fail at none. */
function* looks(random: Random, rates: Experiment['rates'], arms: readonly string[] = ARMS): Generator<Look> {
  const totals = new Map(Object.keys(rates).map(variant => [variant, { users: 0, orders: 0 }]))
  for (let t = 0; ; t++) {
    const counters: Counted[] = []
    for (const [variant, total] of totals) {
      total.users += 20
      total.orders += random.binomial(20, rates[variant] ?? 0)
      const one = { id: 'gw-0', variant }
      counters.push({
        ...one,
        name: 'weir_predictions_total',
        labels: { label: 'Bread' },
        value: total.users,
      })
      counters.push({
        ...one,
        name: 'weir_outcomes_total',
        labels: { name: 'ordered', epoch: '2' },
        value: total.orders,
      })
    }
    const series = [...totals].map(([variant, { users }]) => ({
      id: 'gw-0',
      variant,
      requests: users,
      failures: 0,
    }))
    const weights = { stable: 3334, candidate: 3333, 'arm-3': 3333 }
    yield { t, weights, series, sticky: true, epoch: 2, arms: [...arms], counters }
  }
}

function decisions(rates: Experiment['rates'], { seed, until }: { seed: number; until: number }): Decision[] {
  const judge = createJudgeFor(spec)
  const made: Decision[] = []
  for (const look of looks(createRandom(6, seed), rates)) {
    const decision = judge.step(look)
    made.push(decision)
    if (decision.action !== 'hold' || made.length >= until) break
  }
  return made
}

t.test('from counters to the end: of versions that are alike no more win than the level allows', t => {
  const ends = Array.from(
    { length: 120 },
    (_, seed) => decisions(alike(0.3), { seed, until: 120 }).at(-1)?.action,
  )
  const [won, withdrawn] = [ends.filter(end => end === 'advance'), ends.filter(end => end === 'withdraw')]
  t.ok(won.length <= 3, String(won.length))
  t.ok(withdrawn.length <= 1, String(withdrawn.length))
  t.end()
})

t.test('a decision tells how each arm does, and the same looks give the same decisions', t => {
  const rates = { stable: 0.3, candidate: 0.3, 'arm-3': 0.5 }
  const [once, again] = [decisions(rates, { seed: 1, until: 200 }), decisions(rates, { seed: 1, until: 200 })]
  t.same(once, again)
  const last = once.at(-1)
  t.match(last, {
    action: 'advance',
    threshold: 200,
    reason:
      /^users do better with arm-3: candidate \d+ of \d+ \(.* %\), arm-3 \d+ of \d+ .*, stable \d+ of \d+/,
    experiment: {
      threshold: 80,
      winner: 'arm-3',
      arms: [{ variant: 'candidate', verdict: 'open' }, { verdict: 'better' }],
    },
  })
  t.ok((last?.experiment?.arms[1]?.better ?? 0) >= 80)
  t.end()
})

t.test('of two arms that are proven better than stable at one look the one with more evidence wins', t => {
  for (const [rates, winner] of [
    [{ stable: 0.3, candidate: 0.6, 'arm-3': 0.7 }, 'arm-3'],
    [{ stable: 0.3, candidate: 0.7, 'arm-3': 0.6 }, 'candidate'],
  ] as const) {
    const judge = createJudgeFor(spec)
    // both are proven within the second of these looks, which are far apart
    const made = [...looksFarApart(rates)].map(look => judge.step(look))
    t.match(made.at(-2), { action: 'hold', experiment: { winner: null } })
    const last = made.at(-1)
    t.match(last, {
      action: 'advance',
      reason: new RegExp(`^users do better with ${winner}`),
      experiment: { winner, arms: [{ verdict: 'better' }, { verdict: 'better' }] },
    })
    const [candidate, third] = last?.experiment?.arms ?? []
    t.equal((candidate?.better ?? 0) > (third?.better ?? 0), winner === 'candidate')
  }
  t.end()
})

t.test('the arm that is proven first wins, also over one that users like better later', t => {
  const judge = createJudgeFor(spec)
  let last: Decision | undefined
  for (const look of looks(createRandom(4), { stable: 0.3, candidate: 0.6, 'arm-3': 0.32 })) {
    last = judge.step(look)
    if (last.action !== 'hold' || look.t >= 100) break
  }
  t.match(last, {
    action: 'advance',
    experiment: { winner: 'candidate', arms: [{ verdict: 'better' }, { verdict: 'open' }] },
  })
  t.end()
})

function* looksFarApart(rates: Experiment['rates']): Generator<Look> {
  const all = looks(createRandom(3), rates)
  for (const t of [0, 5, 40]) {
    let look: Look | undefined
    do look = all.next().value
    while (look && look.t < t)
    if (look) yield look
  }
}

t.test('predictions from before users were dealt are no trials of the control', t => {
  const judge = createJudgeFor(spec)
  const before = looks(createRandom(3), alike(0.3))
  const counted = (look: Look | undefined, arms: readonly string[]) =>
    judge.step({ t: 0, weights: {}, series: [], ...look, arms: [...arms] }).experiment
  counted(before.next().value, [])
  counted(before.next().value, [])
  t.match(counted(before.next().value, ARMS), { control: { trials: 0 } }, 'dealt since the last look')
  t.end()
})

t.test(
  'where the epoch is not known nothing is told, and no arm that stands is taken for one that is gone',
  t => {
    const judge = createJudgeFor(spec)
    const rates = { stable: 0.6, candidate: 0.1, 'arm-3': 0.6 }
    let last: Decision | undefined
    for (const look of looks(createRandom(3), rates)) {
      const lost = last?.experiment?.arms[0]?.verdict === 'worse'
      const { epoch, ...blind } = look
      last = judge.step(lost ? { ...blind, arms: ['arm-3'] } : { ...look, epoch: epoch ?? 2 })
      if (look.t >= 60) break
    }
    t.match(last, {
      action: 'hold',
      experiment: { arms: [{ verdict: 'worse', cause: 'feedback' }, { verdict: 'open' }] },
    })
    t.ok((last?.e ?? Infinity) < 200, 'the evidence is of the arm that stands')
    t.end()
  },
)

t.test('an arm to which users are dealt no more says nothing from then on, and never wins', t => {
  const judge = createJudgeFor(spec)
  const rates = { stable: 0.3, candidate: 0.3, 'arm-3': 0.9 }
  let last: Decision | undefined
  for (const look of looks(createRandom(3), rates, ['candidate'])) {
    last = judge.step(look)
    if (look.t >= 100) break
  }
  t.match(last, { action: 'hold', experiment: { winner: null, arms: [{}, { verdict: 'out', trials: 0 }] } })
  t.end()
})
