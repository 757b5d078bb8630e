// On a machine where processes wait for a processor many requests are late together, which is no evidence that each of them was late
// by itself. `analysis.latency.burst` counts those as one that come within such a time.
import t from 'tap'
import type { Decision } from '../../contract/history.ts'
import type { Block } from '../../controller/evidence/blocks.ts'
import { thinDurations } from '../../controller/judge/bursts.ts'
import { logE, HARM } from '../../controller/judge/e-value.ts'
import { createJudge, replay } from '../../controller/judge/judge.ts'
import { simulate, options } from './looks.ts'
import { looksOf, type Stalling } from './stalling.ts'

const STALLING: Omit<Stalling, 'seed'> = {
  requestsPerSecond: 80,
  seconds: 80,
  lookSeconds: 0.5,
  weightsPercent: [10, 25, 50, 95],
  stallsPerSecond: 0.5,
  stallSeconds: 0.2,
}
const RUNS = 40

function judged(latency: object, stalling: Stalling) {
  const judge = createJudge(options({ interval: '500ms', settle: '2.5s', latency }))
  const withdrawn = looksOf(stalling)
    .map(look => judge.step(look))
    .find(({ action }) => action === 'withdraw')
  return withdrawn && { t: withdrawn.t, cause: withdrawn.cause }
}

function runs(latency: object, stalling: Omit<Stalling, 'seed'>, count = RUNS) {
  return Array.from({ length: count }, (_, seed) => judged(latency, { ...stalling, seed }))
}

const BURST = { burst: '250ms' }

for (const stalls of [
  { stallsPerSecond: 0.5, stallSeconds: 0.2 },
  { stallsPerSecond: 2, stallSeconds: 0.1 },
  { stallsPerSecond: 0.2, stallSeconds: 0.5 },
]) {
  const words = `${stalls.stallsPerSecond} stalls of ${stalls.stallSeconds} s each second`
  t.test(`healthy candidates are not withdrawn where either process stalls: ${words}`, t => {
    const withdrawn = runs(BURST, { ...STALLING, ...stalls }).filter(run => run !== undefined)
    t.ok(withdrawn.length <= 1, `${withdrawn.length} of ${RUNS}`)
    t.end()
  })
}

t.test('counted one by one, the same stalls withdraw many of them', t => {
  const withdrawn = runs({}, STALLING).filter(run => run !== undefined)
  t.ok(withdrawn.length > RUNS / 4, `${withdrawn.length} of ${RUNS}`)
  t.ok(withdrawn.every(run => run?.cause === 'latency'))
  t.end()
})

const CALM = { ...STALLING, stallsPerSecond: 0, seconds: 120, weightsPercent: [10] }

for (const { slower, seconds } of [
  { slower: 2, seconds: 30 },
  { slower: 4, seconds: 10 },
]) {
  t.test(`a candidate that is ${slower} times as slow is withdrawn for it within ${seconds} s`, t => {
    const all = runs(BURST, { ...CALM, slower }, 15)
    t.ok(all.every(run => run?.cause === 'latency'))
    const times = all.map(run => run?.t ?? Infinity).toSorted((a, b) => a - b)
    t.ok((times[7] ?? Infinity) <= seconds, `median ${times[7]} s of ${times.join(', ')}`)
    t.end()
  })
}

t.test('and where processes stall, too', t => {
  const all = runs(BURST, { ...STALLING, seconds: 120, weightsPercent: [10], slower: 4 }, 10)
  t.ok(all.every(run => run?.cause === 'latency'))
  t.end()
})

t.test('without it, or with bursts that no two requests fall into, every decision is what it was', t => {
  const looks = simulate({
    seed: 5,
    looks: 60,
    requestsPerSecond: 200,
    at: () => ({ stable: 0.01, candidate: 0.01, latencyRatio: 1.2 }),
  })
  const plain = replay({ looks }, options())
  t.same(replay({ looks }, options({ latency: { burst: '0s' } })), plain)
  const withoutReason = (decisions: readonly Decision[]) =>
    decisions.map(decision => ({ ...decision, reason: '' }))
  const apart = replay({ looks }, options({ latency: { burst: '1ms' } }))
  t.same(withoutReason(apart), withoutReason(plain))
  const together = replay({ looks }, options({ latency: { burst: '1s' } }))
  t.not(together.at(-1)?.e, plain.at(-1)?.e)
  t.match(together[1]?.reason, /holding: .*; requests within 1000 ms of each other count as one/)
  t.end()
})

function blockOf(candidate: number, stable: number): Block {
  const tally = (total: number) => ({
    requests: total,
    failures: 0,
    clientErrors: 0,
    durations: { bounds: [1], counts: [total / 2], total },
    flow: undefined,
  })
  return { t: 1, seconds: 1, weightsEpoch: 0, candidate: tally(candidate), comparator: tally(stable) }
}

t.test('of each variant as many requests remain as bursts fit in, or all where there are fewer', t => {
  const { candidate, comparator } = thinDurations(blockOf(3, 80), 0.25)
  t.same(candidate.durations, { bounds: [1], counts: [1.5], total: 3 })
  t.same(comparator.durations, { bounds: [1], counts: [2], total: 4 })
  t.equal(comparator.requests, 80)
  t.end()
})

t.test('the expectation stays at most 1, whether requests are late by themselves or burst by burst', t => {
  for (const p of [0.01, 0.1, 0.5, 0.9])
    for (const rho of HARM)
      for (const [nc, dc, ns, ds] of [
        [4, 2, 12, 4],
        [6, 6, 8, 1],
        [3, 1.5, 20, 10],
      ] as const) {
        const by = (sizeC: number, sizeS: number) => expectation({ p, rho, nc, dc, ns, ds, sizeC, sizeS })
        t.ok(by(1, 1) <= 1 + 1e-9, `${p} ${rho} ${nc} one by one`)
        if (Number.isInteger(dc)) t.ok(by(dc, ds) <= 1 + 1e-9, `${p} ${rho} ${nc} in bursts`)
      }
  t.end()
})

interface Thinned {
  readonly p: number
  readonly rho: number
  /** Requests, and how many of them count as one. */
  readonly nc: number
  readonly dc: number
  readonly ns: number
  readonly ds: number
  /** How many are in fact late together. */
  readonly sizeC: number
  readonly sizeS: number
}

function expectation({ p, rho, nc, dc, ns, ds, sizeC, sizeS }: Thinned): number {
  let sum = 0
  for (let c = 0; c <= nc / sizeC; c++)
    for (let s = 0; s <= ns / sizeS; s++) {
      const chance = binomial(nc / sizeC, c, p) * binomial(ns / sizeS, s, p)
      const counts = { xc: (c * sizeC) / dc, nc: nc / dc, xs: (s * sizeS) / ds, ns: ns / ds }
      sum += chance * Math.exp(logE(counts, rho))
    }
  return sum
}

function binomial(n: number, k: number, p: number): number {
  let ways = 1
  for (let i = 0; i < k; i++) ways *= (n - i) / (i + 1)
  return ways * p ** k * (1 - p) ** (n - k)
}
