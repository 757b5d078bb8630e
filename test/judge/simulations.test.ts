// Error rates and detection on simulated rollouts, sized for every run; `npm run bench -- judge` is the full size. The
// expected figures are those of docs/judge.md; the limits leave room for the sampling error of so few ramps.
import t from 'tap'
import { climb, medianSecondsTo, type Climb } from '../../bench/judge/climb.ts'
import { createOurs } from '../../bench/judge/ours.ts'
import {
  constant,
  drifting,
  fromSecond,
  noisy,
  runRamps,
  slower,
  type Outcome,
  type Row,
} from '../../bench/judge/ramps.ts'

const SEED = 20_261

function outcomesOf(row: Row, ramps: number): Outcome[] {
  const stream = row.label.length * 97 // any number that keeps rows apart
  const [outcomes = []] = runRamps(row, [createOurs()], { seed: SEED, ramps, row: stream })
  return outcomes
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

const HEALTHY: readonly Row[] = [
  { label: 'constant traffic, 20 rps, 0.5 %', scenario: constant(20, 0.005) },
  { label: 'constant traffic, 500 rps, 1 % failures', scenario: constant(500, 0.01) },
  { label: 'drift and shared bursts, 20 rps, 1 %', scenario: drifting(20, 0.01) },
  { label: 'drift and shared bursts, 500 rps, 0.5 %', scenario: drifting(500, 0.005) },
  { label: 'noise of its own in each variant, 500 rps', scenario: noisy(500, 0.01, 0.2) },
]

for (const row of HEALTHY) {
  t.test(`healthy candidates are not withdrawn: ${row.label}`, t => {
    const withdrawn = outcomesOf(row, 30).filter(({ seconds }) => seconds !== undefined)
    t.ok(withdrawn.length <= 1, `${withdrawn.length} of 30`)
    t.end()
  })
}

/** Seconds and candidate requests as the design's own simulation found them. */
const HARMFUL: readonly (Row & {
  readonly seconds: number
  readonly requests?: number
  readonly ramps: number
})[] = [
  { label: '1 to 5 %, 500 rps', scenario: constant(500, 0.01, 0.05), seconds: 49, requests: 246, ramps: 150 },
  {
    label: '0.1 to 1 %, 500 rps',
    scenario: constant(500, 0.001, 0.01),
    seconds: 125,
    requests: 641,
    ramps: 80,
  },
  { label: '1 to 50 %, 20 rps', scenario: constant(20, 0.01, 0.5), seconds: 40, requests: 8, ramps: 150 },
  {
    label: '1 to 50 %, 500 rps, at once',
    scenario: constant(500, 0.01, 0.5),
    seconds: 5,
    requests: 25,
    ramps: 40,
  },
  { label: '1 to 5 %, 20 rps', scenario: constant(20, 0.01, 0.05), seconds: 477, requests: 260, ramps: 40 },
  { label: 'twice as slow', scenario: slower(500, 0.001, 2), seconds: 8, requests: 40, ramps: 60 },
  { label: 'a quarter slower', scenario: slower(500, 0.001, 1.25), seconds: 190, requests: 1024, ramps: 40 },
  {
    label: 'from 900 s on',
    scenario: fromSecond(900, 500, [0.01, 0.05]),
    harmFrom: 900,
    seconds: 20,
    ramps: 20,
  },
]

for (const row of HARMFUL) {
  t.test(`harmful candidates are withdrawn as soon as expected: ${row.label}`, t => {
    const outcomes = outcomesOf(row, row.ramps)
    t.ok(outcomes.every(({ seconds }) => seconds !== undefined))
    const seconds = mean(outcomes.map(outcome => outcome.seconds ?? Infinity))
    const requests = mean(outcomes.map(outcome => outcome.candidateRequests))
    t.ok(seconds <= 1.35 * row.seconds, `${seconds} s, expected ${row.seconds} s`)
    if (row.requests) t.ok(requests <= 1.35 * row.requests, `${requests} requests, expected ${row.requests}`)
    t.end()
  })
}

t.test('latency at the tolerance is not withdrawn, above it always', t => {
  const at = (ratio: number) => outcomesOf({ label: String(ratio), scenario: slower(500, 0.001, ratio) }, 12)
  t.ok(at(1.1).filter(({ seconds }) => seconds !== undefined).length <= 1)
  t.ok(at(1.15).every(({ seconds }) => seconds !== undefined))
  t.end()
})

const CLIMB: Climb = { requestsPerSecond: 80, rate: 0, riskBudgetPoints: 1, fromPercent: 10, pollSeconds: 1 }

t.test('a healthy candidate gets all traffic as soon as its risk budget allows', t => {
  const seconds = (settings: Climb) =>
    medianSecondsTo(
      100,
      Array.from({ length: 11 }, (_, ramp) => climb(settings, { seed: SEED, ramp })),
    )
  const near = (actual: number | undefined, expected: number) =>
    actual !== undefined && Math.abs(actual / expected - 1) < 0.25
  t.ok(near(seconds(CLIMB), 59))
  t.ok(near(seconds({ ...CLIMB, riskBudgetPoints: 0.5, requestsPerSecond: 35 }), 147))
  t.ok(near(seconds({ ...CLIMB, riskBudgetPoints: 2, rate: 0.005 }), 53))
  t.end()
})

t.test('a candidate whose excess is just what must be ruled out is rarely promoted', t => {
  const excess = 0.02 / 0.95
  const settings: Climb = {
    ...CLIMB,
    riskBudgetPoints: 2,
    rate: 0.01,
    candidateRate: 0.01 + excess,
    pollSeconds: 5,
  }
  const promoted = Array.from({ length: 40 }, (_, ramp) => climb(settings, { seed: SEED, ramp })).filter(
    reached => reached.has(100),
  )
  t.ok(promoted.length <= 5, `${promoted.length} of 40`)
  t.end()
})
