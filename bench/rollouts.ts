import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Target } from './gateway/bench.ts'
import { createProcesses } from './gateway/processes.ts'
import { table } from './gateway/table.ts'
import type { Part, RolloutBench } from './rollouts/bench.ts'
import { measureHealthy } from './rollouts/healthy.ts'
import { measureOutage } from './rollouts/outage.ts'
import { measureWithdrawals } from './rollouts/withdrawals.ts'

// npm run bench -- rollouts [--only withdrawals,outage,healthy] [--runs N] [--lanes N] [--short]: live rollouts on real processes, so
// many at a time: a gateway, a controller, and `weir serve` for each version, which keeps a server running that waits as long as a
// model would compute. In full it takes about 35 minutes, of which 25 go to the healthy ones; --short goes through each part once,
// within a minute. Ends with 1 when a target is missed. Where other programs take the processor, a process that has to wait makes
// several requests late at once, and is withdrawn for it: --latency-burst 250ms counts those as one, and
// --latency-tolerance 8 has healthy rollouts tolerate them.

const PARTS: Readonly<Record<string, Part>> = {
  withdrawals: measureWithdrawals,
  outage: measureOutage,
  healthy: measureHealthy,
}

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(PARTS).join(',') },
    runs: { type: 'string' },
    lanes: { type: 'string' },
    'latency-tolerance': { type: 'string' },
    'latency-burst': { type: 'string' },
    short: { type: 'boolean', default: false },
  },
})
const parts = values.only.split(',').map(partNamed)
const runs = wholeNumber('runs', values.runs)
const lanes = wholeNumber('lanes', values.lanes)
const toleranceRatio = wholeNumber('latency-tolerance', values['latency-tolerance'])
const burst = values['latency-burst']
const latency = {
  ...(toleranceRatio !== undefined && { toleranceRatio }),
  ...(burst !== undefined && { burst }),
}
const { short } = values

const print = (line: string) => void process.stdout.write(`${line}\n`)
let processes = createProcesses()
const dir = mkdtempSync(join(tmpdir(), 'weir-rollouts-'))
let interrupted = false
for (const [signal, code] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const])
  process.once(signal, () => {
    interrupted = true
    void end().then(() => process.exit(code))
  })

try {
  print(`${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}${short ? ', short form' : ''}\n`)
  const targets: Target[] = []
  for (const [index, measure] of parts.entries()) {
    processes = createProcesses()
    const bench: RolloutBench = {
      short,
      runs,
      lanes,
      latency,
      processes,
      dir: join(dir, String(index)),
      print,
    }
    targets.push(...(await measure(bench)))
    await processes.stopAll()
    print('')
  }
  print(targetTable(targets))
  if (targets.some(({ met }) => met === false)) process.exitCode = 1
} catch (error) {
  if (!interrupted) throw error
} finally {
  await end()
}

async function end(): Promise<void> {
  await processes.stopAll()
  rmSync(dir, { recursive: true, force: true })
}

function targetTable(targets: readonly Target[]): string {
  const verdict = { true: 'met', false: 'MISSED', 'not measured': 'not measured' } as const
  const rows = targets.map(({ name, reached, met, reason }) => [
    name,
    reached,
    verdict[`${met}`] + (reason === undefined ? '' : `: ${reason}`),
  ])
  return table(['target', 'reached', ''], rows)
}

function partNamed(name: string): Part {
  const measure = PARTS[name]
  if (measure === undefined) throw new Error(`--only takes ${Object.keys(PARTS).join(', ')}; not "${name}"`)
  return measure
}

function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes a whole number from 1 on`)
  return value
}
