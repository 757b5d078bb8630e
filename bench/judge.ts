import { parseArgs } from 'node:util'
import { createArgo } from './judge/argo.ts'
import { climb, medianSecondsTo, type Climb } from './judge/climb.ts'
import type { Contender } from './judge/contender.ts'
import { createFlagger } from './judge/flagger.ts'
import { createKayenta } from './judge/kayenta.ts'
import { createOurs } from './judge/ours.ts'
import {
  constant,
  drifting,
  fromSecond,
  noisy,
  runRamps,
  slower,
  type Outcome,
  type Row,
} from './judge/ramps.ts'
import { microsecondsAlone, microsecondsPerLook } from './judge/speed.ts'
import { createZTest } from './judge/z-test.ts'

// npm run bench -- judge [--seed N] [--ramps N] [--only healthy,detection,climbs,speed]: error rates and detection times of the judge,
// beside those of models of what others do, on the same simulated traffic. 2,000 ramps a row take about half an hour; 200 show the
// shape.

const PARTS: Readonly<Record<string, () => void>> = {
  healthy: measureHealthy,
  detection: measureDetection,
  climbs: measureClimbs,
  speed: measureSpeed,
}

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    ramps: { type: 'string', default: '2000' },
    only: { type: 'string', default: Object.keys(PARTS).join(',') },
  },
})
const seed = wholeNumber('seed', values.seed)
const ramps = wholeNumber('ramps', values.ramps)
const only = values.only.split(',')
const unknown = only.find(name => PARTS[name] === undefined)
if (unknown !== undefined) throw new Error(`--only takes ${Object.keys(PARTS).join(', ')}; not "${unknown}"`)
/** Detection needs fewer: 300 of 2,000. */
const fewerRamps = Math.max(10, Math.round(ramps * 0.15))

const CONTENDERS: readonly Contender[] = [
  createOurs(),
  createZTest(),
  createFlagger(),
  createArgo({ minSuccessRate: 0.95, failureLimit: 0 }),
  createArgo({ minSuccessRate: 0.99, failureLimit: 3 }),
  createKayenta(),
]
/** Those that look at latency at all. */
const LATENCY_CONTENDERS: readonly Contender[] = [
  createOurs(),
  createFlagger(),
  createKayenta({ metric: 'p95' }),
]

const HEALTHY: readonly Row[] = [
  { label: 'constant 20 rps 0.5 %', scenario: constant(20, 0.005) },
  { label: 'constant 20 rps 1 %', scenario: constant(20, 0.01) },
  { label: 'constant 500 rps 1 %', scenario: constant(500, 0.01) },
  { label: 'drift 20 rps 1 %', scenario: drifting(20, 0.01) },
  { label: 'drift 500 rps 0.5 %', scenario: drifting(500, 0.005) },
  { label: 'noise of 20 % a minute, 500 rps 1 %', scenario: noisy(500, 0.01, 0.2) },
]

const HARMFUL: readonly Row[] = [
  { label: '0.1→1 %, 500 rps', scenario: constant(500, 0.001, 0.01) },
  { label: '1→2 %, 500 rps', scenario: constant(500, 0.01, 0.02) },
  { label: '1→5 %, 20 rps', scenario: constant(20, 0.01, 0.05) },
  { label: '1→5 %, 500 rps', scenario: constant(500, 0.01, 0.05) },
  { label: '1→5 % from 900 s on, 500 rps', scenario: fromSecond(900, 500, [0.01, 0.05]), harmFrom: 900 },
  { label: '1→50 %, 20 rps', scenario: constant(20, 0.01, 0.5) },
  { label: '1→50 %, 500 rps', scenario: constant(500, 0.01, 0.5) },
]

const SLOWER: readonly Row[] = [1.1, 1.15, 1.25, 2].map(ratio => {
  return { label: `latency x${ratio}, 500 rps`, scenario: slower(500, 0.001, ratio) }
})

function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} must be a whole number from 1 on`)
  return value
}

function printTable(head: readonly string[], rows: Iterable<readonly string[]>): void {
  console.log(`| ${head.join(' | ')} |\n|${'---|'.repeat(head.length)}`)
  for (const row of rows) console.log(`| ${row.join(' | ')} |`)
  console.log()
}

type Figure = (outcomes: readonly Outcome[]) => string

/** A row of figures for each scenario, a column for each contender. Each table draws numbers of its own. */
function* measure(
  rows: readonly Row[],
  contenders: readonly Contender[],
  table: Measured,
): Generator<readonly string[]> {
  for (const [index, row] of rows.entries()) {
    const outcomes = runRamps(row, contenders, { seed, ramps: table.ramps, row: table.number * 10 + index })
    yield [row.label, ...outcomes.map(table.figure)]
  }
}

interface Measured {
  readonly number: number
  readonly ramps: number
  readonly figure: Figure
}

function withdrawnPercent(outcomes: readonly Outcome[]): string {
  const withdrawn = outcomes.filter(({ seconds }) => seconds !== undefined)
  return ((100 * withdrawn.length) / outcomes.length).toFixed(2)
}

/** Mean seconds / candidate requests until found, over the ramps in which it was found after it began. */
function detection(outcomes: readonly Outcome[]): string {
  const found = outcomes.filter(({ seconds, early }) => seconds !== undefined && !early)
  const early = outcomes.filter(outcome => outcome.early).length
  if (found.length === 0) return early > 0 ? `never (${early} too early)` : 'never'
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const seconds = mean(found.map(outcome => outcome.seconds ?? 0))
  const requests = mean(found.map(outcome => outcome.candidateRequests))
  const share =
    found.length < outcomes.length ? `, ${Math.round((100 * found.length) / outcomes.length)} % found` : ''
  return `${seconds.toFixed(0)} / ${requests.toFixed(0)}${share}`
}

const CLIMBS = [0, 0.005].flatMap(rate =>
  [0.5, 1, 2].map(riskBudgetPoints => ({ rate, riskBudgetPoints, fromPercent: 10, pollSeconds: 1 })),
)

function* climbs(): Generator<readonly string[]> {
  for (const settings of CLIMBS) {
    const medians = [20, 35, 80].map(requestsPerSecond => median({ ...settings, requestsPerSecond }, 100))
    yield [`${settings.rate * 100} %`, `${settings.riskBudgetPoints} pp`, ...medians]
  }
}

function median(settings: Climb, percent: number): string {
  const runs = Array.from({ length: Math.max(11, fewerRamps) }, (_, ramp) => climb(settings, { seed, ramp }))
  return medianSecondsTo(percent, runs)?.toFixed(0) ?? 'never'
}

/** How often a candidate whose excess is just what must be ruled out is promoted all the same. */
function wrongPromotions(requestsPerSecond: number): string {
  const settings: Climb = { rate: 0.01, candidateRate: 0.01 + 0.01 / 0.95, ...WRONG, requestsPerSecond }
  const runs = Array.from({ length: fewerRamps }, (_, ramp) => climb(settings, { seed, ramp }))
  return ((100 * runs.filter(reached => reached.has(100)).length) / runs.length).toFixed(1)
}

const WRONG = { riskBudgetPoints: 1, fromPercent: 10, pollSeconds: 5 }

const head = (label: string, contenders: readonly Contender[]) => [
  label,
  ...contenders.map(({ name }) => name),
]

console.log(`seed ${seed}, ${ramps} ramps a row (${fewerRamps} for detection), looks every 5 s,`)
console.log('six 5-minute steps of 1, 5, 10, 25, 50, 95 %; latency lognormal, median 60 ms, sigma 0.5\n')
printTable(
  ['', 'settings', 'source'],
  [...CONTENDERS, ...LATENCY_CONTENDERS.slice(2)].map(({ name, settings, source }) => [
    name,
    settings,
    source,
  ]),
)
for (const name of only) PARTS[name]?.()

function measureHealthy(): void {
  console.log('False withdrawals per healthy ramp, %\n')
  printTable(
    head('traffic / failure rate', CONTENDERS),
    measure(HEALTHY, CONTENDERS, { number: 0, ramps, figure: withdrawnPercent }),
  )
}

function measureDetection(): void {
  console.log('Detection, mean seconds / candidate requests\n')
  printTable(
    head('jump, traffic', CONTENDERS),
    measure(HARMFUL, CONTENDERS, { number: 1, ramps: fewerRamps, figure: detection }),
  )
  printTable(
    head('slower, traffic (x1.1 is the tolerance)', LATENCY_CONTENDERS),
    measure(SLOWER, LATENCY_CONTENDERS, { number: 2, ramps: fewerRamps, figure: detection }),
  )
}

function measureClimbs(): void {
  console.log(
    'A healthy candidate from 10 % to all traffic, looks every second: median seconds at 20, 35, 80 rps\n',
  )
  printTable(['failures', 'risk budget', '20 rps', '35 rps', '80 rps'], climbs())
  const slow = { rate: 0.001, riskBudgetPoints: 0.25, fromPercent: 1, pollSeconds: 5 }
  const to95 = [20, 500].map(requestsPerSecond => median({ ...slow, requestsPerSecond }, 95))
  console.log(`From 1 to 95 % with 0.25 pp and 0.1 % failures: median ${to95.join(' / ')} s at 20 / 500 rps`)
  const wrong = [35, 80].map(wrongPromotions)
  console.log(
    `Promoted at a true excess of 1 pp / 95 %, risk budget 1 pp: ${wrong.join(' / ')} % at 35 / 80 rps`,
  )
}

function measureSpeed(): void {
  const alone = microsecondsAlone()
  console.log(`Speed, µs: a harm process ${alone.harm.toFixed(2)}, a bound ${alone.bound.toFixed(2)} a look;`)
  console.log(
    `the whole judge with its 83 processes, from counters to decision, ${microsecondsPerLook().toFixed(0)} a look`,
  )
}
