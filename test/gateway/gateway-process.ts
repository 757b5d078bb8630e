import { execFileSync, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { stringify } from 'yaml'
import { createGatewayClient } from '../../client/gateway.ts'
import { parseExposition } from '../../lib/exposition.ts'
import { freePort } from '../../lib/ports.ts'
import { eventually } from './harness.ts'

const MAIN = fileURLToPath(new URL('../../gateway/main.ts', import.meta.url))
const START_LIMIT_MS = 30_000

interface GatewayOptions {
  readonly workers?: number
  readonly stateDir?: string
  readonly args?: readonly string[]
  /** A program, with its arguments, that runs the gateway. */
  readonly runBy?: readonly string[]
}

/** The real gateway, as its own processes. It is killed when the test ends. */
export async function startGateway(t: Test, routes: readonly unknown[], options: GatewayOptions = {}) {
  const { workers = 1, stateDir = t.testdir(), args = [], runBy } = options
  const config = join(stateDir, 'gateway.yaml')
  await writeFile(config, stringify({ routes }))
  const port = await freePort('127.0.0.1', 22_000 + (process.pid % 1000) * 8)
  const operatorPort = await freePort('127.0.0.1', port + 1)
  const all = ['--config', config, '--port', String(port), '--operator-port', String(operatorPort)]
  all.push('--workers', String(workers), '--state', join(stateDir, 'state'), ...args)
  const started = runGateway(t, all, join(stateDir, 'log'), runBy)
  const operator = `http://127.0.0.1:${operatorPort}`
  const client = createGatewayClient({ baseUrl: operator })
  const ready = () => client.readyz().catch(() => false)
  const isReady = await eventually(ready, START_LIMIT_MS)
  if (!isReady) throw new Error(`not ready: ${await started.output()}`)
  return {
    ...started,
    port,
    operatorPort,
    operator,
    client,
    stateDir: join(stateDir, 'state'),
    config,
    workers: () => workersOf(started.child.pid),
    /** Sum of a metric over the samples that have these labels. */
    async total(name: string, labels: Record<string, string> = {}): Promise<number> {
      const samples = parseExposition(await client.metrics()).filter(sample => sample.name === name)
      return samples
        .filter(sample => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
        .reduce((sum, { value }) => sum + value, 0)
    },
  }
}

/** The pids of the processes that a process started. */
function workersOf(pid: number | undefined): number[] {
  const lines = execFileSync('ps', ['-eo', 'pid,ppid'], { encoding: 'utf8' }).trim().split('\n').slice(1)
  return lines
    .map(line => line.trim().split(/\s+/).map(Number))
    .flatMap(([child, parent]) => (parent === pid && child ? child : []))
}

/** Runs gateway/main.ts; its output goes to a file so that a full pipe cannot stop it. */
export function runGateway(t: Test, args: readonly string[], logFile: string, runBy: readonly string[] = []) {
  const [program = process.execPath, ...rest] = [...runBy, process.execPath, MAIN, ...args]
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  const log = createWriteStream(logFile)
  child.stdout.pipe(log, { end: false })
  child.stderr.pipe(log, { end: false })
  const exited = new Promise<number | null>(resolve => child.on('exit', code => resolve(code)))
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
    log.end()
  })
  return { child, exited, output: () => readFile(logFile, 'utf8') }
}
