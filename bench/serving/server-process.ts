import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createServingClient } from '../../client/serving.ts'
import { COMPILE_CACHE } from '../../lib/compile-cache.ts'
import { leanMemory } from '../../lib/lean-memory.ts'
import { parseExposition } from '../../lib/exposition.ts'

export interface ServerProcess {
  readonly url: string
  readonly readyMs: number
  stats(): Promise<ServerStats>
  stop(): Promise<number>
}

export interface ServerStats {
  readonly cpuSeconds: number
  readonly residentMiB: number
  readonly eventLoopP99Ms: number
  readonly eventLoopMaxMs: number
}

const READY_LIMIT_MS = 60_000

/** `weir serve` as a user starts it, on a free port. */
export async function startServer(model: string, workers: number): Promise<ServerProcess> {
  const begun = performance.now()
  const main = fileURLToPath(new URL('../../serving/main.ts', import.meta.url))
  const args = [main, '--model', model, '--port', '0', '--workers', String(workers)]
  const env = { ...process.env, ...COMPILE_CACHE, ...leanMemory(process.env['NODE_OPTIONS']) }
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env })
  const url = await addressOf(child)
  const client = createServingClient({ baseUrl: url })
  while ((await client.ready()).state !== 'ready') {
    if (performance.now() - begun > READY_LIMIT_MS) throw new Error(`${model} is not ready`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  const readyMs = performance.now() - begun
  return {
    url,
    readyMs,
    stats: () => readStats(url),
    async stop() {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      const [code] = (await exited) as [number]
      return code
    },
  }
}

async function addressOf(child: ChildProcess): Promise<string> {
  if (!child.stdout) throw new Error('no output to read')
  for await (const line of createInterface({ input: child.stdout })) {
    const { address } = JSON.parse(line) as { address?: string }
    if (address !== undefined) {
      child.stdout.resume()
      return address
    }
  }
  throw new Error('the server ended before it listened')
}

async function readStats(url: string): Promise<ServerStats> {
  const samples = parseExposition(await (await fetch(`${url}/metrics`)).text())
  const value = (name: string) => samples.find(sample => sample.name === name)?.value ?? Number.NaN
  return {
    cpuSeconds: value('process_cpu_seconds_total'),
    residentMiB: value('process_resident_memory_bytes') / 2 ** 20,
    eventLoopP99Ms: value('nodejs_eventloop_lag_p99_seconds') * 1000,
    eventLoopMaxMs: value('nodejs_eventloop_lag_max_seconds') * 1000,
  }
}
