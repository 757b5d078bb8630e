import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { readEnv } from '../lib/env.ts'
import { lockFolder } from '../lib/folder-lock.ts'
import { createLog } from '../lib/log.ts'
import { describeProblem } from '../lib/problem.ts'
import { stopOnSignals } from '../lib/shutdown.ts'
import { readConfig } from './config.ts'
import { tryPort } from '../lib/ports.ts'
import { startPrimary } from './primary/primary.ts'
import { readTraceSettings } from './trace-settings.ts'

// The gateway's primary process: reads arguments and environment, tries the ports, and only then touches the state folder.

/** What stopping takes beside the drain; both together stay below the 30 s that those who stop processes usually grant. */
const STOP_MARGIN_MS = 3000

const NO_PORT = 'must be a port, 1 to 65535'
const port = z.coerce.number(NO_PORT).int(NO_PORT).min(1, NO_PORT).max(65_535, NO_PORT)
const NO_COUNT = 'must be a whole number, 1 to 256'
const NO_SECONDS = 'must be a number of seconds, 0 to 3600'
const settings = z.object({
  config: z.string({ error: 'is needed: a YAML file with routes' }),
  port: port.default(8080),
  host: z.string().default('127.0.0.1'),
  'operator-port': port.default(8081),
  'operator-host': z.string().default('127.0.0.1'),
  workers: z.coerce
    .number(NO_COUNT)
    .int(NO_COUNT)
    .min(1, NO_COUNT)
    .max(256, NO_COUNT)
    .default(Math.max(1, availableParallelism() - 1)),
  state: z.string().optional(),
  'drain-seconds': z.coerce.number(NO_SECONDS).min(0, NO_SECONDS).max(3600, NO_SECONDS).default(25),
  'owner-pid': z.coerce.number().int().positive().optional(),
})

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const

try {
  await main()
} catch (error) {
  process.stderr.write(`weir gateway: ${describeProblem(error)}\n`)
  process.exit(1)
}

async function main(): Promise<void> {
  const options = readOptions()
  const env = readEnv(
    { WEIR_STATE: z.string().optional(), WEIR_LOG_LEVEL: z.enum(LOG_LEVELS).default('info') },
    process.env,
  )
  const traces = readTraceSettings(process.env)
  const log = createLog('gateway', env.WEIR_LOG_LEVEL)
  const config = await readConfig(options.config)
  await requirePort(options.host, options.port)
  await requirePort(options['operator-host'], options['operator-port'])
  const stateDir = resolve(options.state ?? env.WEIR_STATE ?? '.weir')
  lockFolder(stateDir, 'gateway') // until the process ends
  const drainLimitMs = options['drain-seconds'] * 1000
  const primary = await startPrimary({
    config,
    stateDir,
    host: options.host,
    port: options.port,
    operatorHost: options['operator-host'],
    operatorPort: options['operator-port'],
    workers: options.workers,
    drainLimitMs,
    log,
    logLevel: env.WEIR_LOG_LEVEL,
    traces,
  })
  const limitMs = drainLimitMs + STOP_MARGIN_MS
  stopOnSignals({ log, stop: primary.stop, limitMs, ownerPid: options['owner-pid'] })
  log.info(
    {
      url: `http://${options.host}:${options.port}`,
      operator: `http://${options['operator-host']}:${options['operator-port']}`,
      workers: options.workers,
      traces: traces && new URL(traces.url).host,
    },
    'listening',
  )
}

async function requirePort(host: string, port: number): Promise<void> {
  const problem = await tryPort(host, port)
  if (problem) throw problem
}

function readOptions(): z.infer<typeof settings> {
  const names = Object.keys(settings.shape)
  const { values } = parseArgs({
    options: Object.fromEntries(names.map(name => [name, { type: 'string' as const }])),
    strict: true,
  })
  const parsed = settings.safeParse(values)
  if (parsed.success) return parsed.data
  throw new Error(parsed.error.issues.map(({ path, message }) => `--${path.join('.')} ${message}`).join('; '))
}
