import t from 'tap'
import type { Look } from '../../contract/history.ts'
import { createBlocks, type BlockOutcome } from '../../controller/evidence/blocks.ts'

interface Seen {
  readonly t: number
  readonly stable?: number | null
  readonly candidate?: number | null
  readonly weight?: number
  readonly id?: string
}

/** A look with one series per variant, absent where its count is. A tenth of all requests failed. */
function look({ t, stable, candidate, weight = 1000, id = 'gw-0' }: Seen): Look {
  const series = Object.entries({ stable, candidate }).flatMap(([variant, requests]) =>
    requests === undefined ? [] : [{ id, variant, requests, failures: Math.floor((requests ?? 0) / 10) }],
  )
  return { t, weights: { stable: 10_000 - weight, candidate: weight }, series }
}

function outcomes(looks: readonly Look[], settleSeconds = 15): BlockOutcome[] {
  return looks.map(createBlocks({ settleSeconds, comparator: 'stable' }))
}

/** Candidate requests and seconds of each block, or why there is none. */
function told(looks: readonly Look[]): unknown[] {
  return outcomes(looks).map(outcome =>
    outcome.kind === 'none'
      ? outcome.why
      : `${outcome.block.candidate.requests} in ${outcome.block.seconds} s`,
  )
}

t.test('two looks delimit a block, the first is where counting begins', t => {
  const looks = [0, 5, 10].map(t => look({ t, stable: 90 + t, candidate: 10 + t }))
  t.same(told(looks), ['first', '5 in 5 s', '5 in 5 s'])
  t.end()
})

t.test('after a gap the next block spans it', t => {
  const looks = [
    look({ t: 0, stable: 0, candidate: 0 }),
    look({ t: 5 }),
    look({ t: 10, stable: null, candidate: null }),
    look({ t: 15, stable: 50 }),
    look({ t: 20, stable: 100, candidate: 20 }),
  ]
  t.same(told(looks), ['first', 'no-data', 'no-data', 'no-data', '20 in 20 s'])
  t.end()
})

t.test('a block needs requests of both variants', t => {
  const looks = [
    look({ t: 0, stable: 0, candidate: 0 }),
    look({ t: 5, stable: 10, candidate: 0 }),
    look({ t: 10, stable: 10, candidate: 5 }),
    look({ t: 15, stable: 20, candidate: 6 }),
  ]
  t.same(told(looks), ['first', 'no-requests', 'no-requests', '1 in 5 s'])
  t.end()
})

t.test('after a weight change nothing counts until requests sent before it have ended', t => {
  const weights = [1000, 1000, 2500, 2500, 2500, 2500, 2500]
  const looks = weights.map((weight, index) =>
    look({ t: index * 5, stable: index * 90, candidate: index * 10, weight }),
  )
  t.same(told(looks), ['first', '10 in 5 s', 'settling', 'settling', 'settling', '10 in 5 s', '10 in 5 s'])
  t.end()
})

t.test('weights that changed in a look without data count from that look', t => {
  const looks = [
    look({ t: 0, stable: 0, candidate: 0 }),
    look({ t: 5, weight: 2500 }),
    look({ t: 10, stable: 90, candidate: 10, weight: 2500 }),
    look({ t: 20, stable: 180, candidate: 20, weight: 2500 }),
  ]
  t.same(told(looks), ['first', 'no-data', 'settling', '10 in 10 s'])
  t.end()
})

t.test('weights that changed and changed back between two looks spoil the block', t => {
  const looks = [
    look({ t: 0, stable: 0, candidate: 0 }),
    look({ t: 5, weight: 2500 }),
    look({ t: 10 }),
    look({ t: 40, stable: 90, candidate: 10 }),
    look({ t: 45, stable: 180, candidate: 20 }),
  ]
  t.same(told(looks), ['first', 'no-data', 'no-data', 'settling', '10 in 5 s'])
  t.end()
})

t.test('one counter that fell means that all of the process restarted', t => {
  const [, outcome] = outcomes([
    look({ t: 0, stable: 1000, candidate: 100 }),
    { ...look({ t: 5, stable: 1010, candidate: 30 }) },
  ])
  t.match(outcome, {
    block: { candidate: { requests: 30, failures: 3 }, comparator: { requests: 10, failures: 1 } },
  })
  t.end()
})

t.test('a replica that joins counts from its second look on, and one that leaves is not missed', t => {
  const two = (t: number, first: Partial<Seen>, second: Partial<Seen>): Look => ({
    ...look({ t }),
    series: [...look({ t, ...first }).series, ...look({ t, id: 'gw-1', ...second }).series],
  })
  const looks = [
    look({ t: 0, stable: 0, candidate: 0 }),
    two(5, { stable: 10, candidate: 5 }, { stable: 700, candidate: 70 }),
    two(10, { stable: 20, candidate: 10 }, { stable: 707, candidate: 73 }),
    look({ t: 15, stable: 30, candidate: 15 }),
  ]
  t.same(told(looks), ['first', '5 in 5 s', '8 in 5 s', '5 in 5 s'])
  t.end()
})

t.test('a replica whose counters are NaN is left out of that look alone', t => {
  const both = (t: number, second: number | null): Look => ({
    ...look({ t }),
    series: [
      ...look({ t, stable: t * 10, candidate: t }).series,
      ...look({ t, id: 'gw-1', stable: second, candidate: second }).series,
    ],
  })
  t.same(told([both(0, 0), both(5, null), both(10, 20)]), ['first', '5 in 5 s', '25 in 5 s'])
  t.end()
})

t.test('a clock that was set back makes no block', t => {
  const looks = [100, 40, 105].map((t, index) => look({ t, stable: index * 90, candidate: index * 10 }))
  t.same(told(looks), ['first', 'no-data', '20 in 5 s'])
  t.end()
})

t.test('failures above requests drop that metric alone', t => {
  const absurd = (t: number, requests: number) => ({
    ...look({ t, stable: requests, candidate: requests }),
    series: ['stable', 'candidate'].map(variant => ({
      id: 'gw-0',
      variant,
      requests,
      failures: requests * 2,
      clientErrors: requests / 5,
    })),
  })
  const [, outcome] = outcomes([absurd(0, 0), absurd(5, 10)])
  t.match(outcome, { block: { candidate: { requests: 10, failures: undefined, clientErrors: 2 } } })
  t.end()
})

const bucket = (bound: number | '+Inf', count: number): [number | '+Inf', number] => [bound, count]

t.test('buckets that are not monotone, or of other bounds than before, drop the durations alone', t => {
  const timed = (
    t: number,
    requests: number,
    bounds: readonly number[],
    within: readonly number[],
  ): Look => ({
    ...look({ t }),
    series: ['stable', 'candidate'].map(variant => ({
      id: 'gw-0',
      variant,
      requests,
      failures: 0,
      buckets: [...bounds.map((bound, k) => bucket(bound, within[k] ?? 0)), bucket('+Inf', requests)],
    })),
  })
  const durations = (looks: readonly Look[]) =>
    outcomes(looks).map(outcome => outcome.kind === 'block' && outcome.block.candidate.durations?.total)
  const start = timed(0, 0, [0.1, 0.2], [0, 0])
  t.same(durations([start, timed(5, 10, [0.1, 0.2], [4, 9])]), [false, 10])
  t.same(durations([start, timed(5, 10, [0.1, 0.2], [9, 4])]), [false, undefined])
  t.same(durations([start, timed(5, 10, [0.1, 0.2], [4, 11])]), [false, undefined])
  t.same(durations([start, timed(5, 10, [0.1, 0.3], [4, 9])]), [false, false])
  t.end()
})

t.test('with a baseline the candidate is compared with it, and stable is left aside', t => {
  const at = (t: number, requests: number): Look => ({
    t,
    weights: { stable: 8000, baseline: 1000, candidate: 1000 },
    series: ['stable', 'baseline', 'candidate'].map((variant, index) => ({
      id: 'gw-0',
      variant,
      requests: requests * (index + 1),
      failures: 0,
    })),
  })
  const blocks = createBlocks({ settleSeconds: 15, comparator: 'baseline' })
  blocks(at(0, 0))
  t.match(blocks(at(5, 10)), { block: { comparator: { requests: 20 }, candidate: { requests: 30 } } })
  t.end()
})
