import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Bench, Target } from './gateway/bench.ts'
import { measureIdle } from './gateway/idle.ts'
import { measureLatency } from './gateway/latency.ts'
import { measureMirror } from './gateway/mirror.ts'
import { WANTED_PROGRAMS } from './gateway/peers.ts'
import { measurePredict } from './gateway/predict.ts'
import { createProcesses, isInstalled } from './gateway/processes.ts'
import { measureRates } from './gateway/rates.ts'
import { measureRoutes } from './gateway/routes.ts'
import { table } from './gateway/table.ts'
import { machineMicros } from './gateway/usage.ts'
import { startUpstream } from './gateway/upstreams.ts'
import { measureWorkers } from './gateway/workers.ts'

// npm run bench -- gateway [--seconds N] [--rounds N] [--only rates,latency,…] [--short]: our gateway and its peers side by
// side, each proxy on core 0, load and upstream on core 1, 32 connections, the order turned round every round, medians. On a
// machine with other work to do ratios mean more than rates, and processor time per request more than either.

const PARTS = {
  rates: measureRates,
  latency: measureLatency,
  predict: measurePredict,
  workers: measureWorkers,
  mirror: measureMirror,
  routes: measureRoutes,
  idle: measureIdle,
} as const

const { values } = parseArgs({
  options: {
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    only: { type: 'string', default: Object.keys(PARTS).join(',') },
    short: { type: 'boolean', default: false },
  },
})
const { short } = values
const seconds = positive('seconds', values.seconds ?? (short ? '1' : '3'))
const rounds = positive('rounds', values.rounds ?? (short ? '1' : '3'))
const parts = values.only.split(',').map(partNamed)

const print = (text: string) => void process.stdout.write(`${text}\n`)
const processes = createProcesses()
const begun = { ...machineMicros(), at: performance.now() }
let interrupted = false
const dir = mkdtempSync(join(tmpdir(), 'weir-bench-'))
for (const [signal, code] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const])
  process.once(signal, () => {
    interrupted = true
    void end().then(() => process.exit(code))
  })

try {
  const missing = WANTED_PROGRAMS.filter(program => !isInstalled(program))
  if (missing.length > 0) print(`not installed, so without them: ${missing.join(', ')}`)
  print(`${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}; ${seconds} s, ${rounds} rounds\n`)
  const unaimed = { seconds, rounds, short, processes, dir, print }
  const bench: Bench = { ...unaimed, upstream: await startUpstream(unaimed) }
  const targets: Target[] = []
  for (const measure of parts) targets.push(...(await measure(bench)))
  await end()
  print(`${othersPercent()} % of the machine went to other programs meanwhile\n`)
  print(targetTable(targets))
} catch (error) {
  if (!interrupted) throw error
} finally {
  await end()
}

async function end(): Promise<void> {
  await processes.stopAll()
  rmSync(dir, { recursive: true, force: true })
}

/** Known once all children have ended. */
function othersPercent(): number {
  const { ours, all } = machineMicros()
  const elapsedMicros = (performance.now() - begun.at) * 1000 * cpus().length
  return Math.round((100 * (all - begun.all - (ours - begun.ours))) / elapsedMicros)
}

function targetTable(targets: readonly Target[]): string {
  const verdict = { true: 'met', false: 'distance', 'not measured': 'not measured' } as const
  const rows = targets.map(({ name, reached, met }) => [
    name,
    reached,
    short ? 'not judged: cold' : verdict[`${met}`],
  ])
  const reasons = targets.flatMap(({ name, met, reason }) =>
    short || met === true || reason === undefined ? [] : [`${name}: ${reason}`],
  )
  return [table(['target', 'reached', ''], rows), ...reasons].join('\n')
}

function partNamed(name: string): (bench: Bench) => Promise<Target[]> {
  const measure = PARTS[name as keyof typeof PARTS]
  if (measure === undefined) throw new Error(`--only takes ${Object.keys(PARTS).join(', ')}; not "${name}"`)
  return measure
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes a whole number from 1 on`)
  return value
}
