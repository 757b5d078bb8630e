import { fileURLToPath } from 'node:url'
import { writeConfig, type Bench } from './bench.ts'
import { isInstalled, LOAD_CORE } from './processes.ts'
import { cpuMicros } from './usage.ts'

export interface Load {
  readonly name: string
  readonly bytes: number
  readonly path: string
}

export const KB_1: Load = { name: '1 KB', bytes: 1024, path: '/x' }
export const KB_60: Load = { name: '60 KB', bytes: 61_440, path: '/x' }
export const PREDICT: Load = { name: '60 KB /predict', bytes: 61_440, path: '/predict' }

export type Generator = 'wrk' | 'autocannon'

/** wrk first: autocannon needs about as much of its core as a proxy of its own, so it hides differences. */
export const GENERATORS: readonly Generator[] = isInstalled('wrk') ? ['wrk', 'autocannon'] : ['autocannon']
export const BEST_GENERATOR: Generator = isInstalled('wrk') ? 'wrk' : 'autocannon'

/** What a generator saw. */
interface Answers {
  readonly requests: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Answers other than 2xx, and broken connections. */
  readonly errors: number
}

export type Throughput = Readonly<
  Record<'perSecond' | 'cpuMicros' | 'busyPercent' | 'p50Ms' | 'p99Ms', number>
>

interface LoadOptions {
  readonly generator?: Generator
  readonly cores?: string
  readonly threads?: number
}

const CONNECTIONS = 32
const AUTOCANNON = fileURLToPath(new URL('./autocannon-load.ts', import.meta.url))

/** As many requests as 32 connections get answered, and what each costs the proxy. Errors are an error. */
export async function measureThroughput(
  bench: Bench,
  target: { readonly url: string; readonly pid: number },
  load: Load,
  options: LoadOptions = {},
): Promise<Throughput> {
  const { generator = BEST_GENERATOR } = options
  const before = cpuMicros(target.pid)
  const answers = await (generator === 'wrk' ? wrk : autocannon)(bench, target.url, load, options)
  const cpu = cpuMicros(target.pid) - before
  const { requests, seconds, errors, p50Ms, p99Ms } = answers
  if (errors > 0) throw new Error(`${target.url}${load.path}: ${errors} of ${requests} requests failed`)
  return {
    perSecond: requests / seconds,
    cpuMicros: cpu / requests,
    busyPercent: cpu / seconds / 10_000,
    p50Ms,
    p99Ms,
  }
}

/** Compilers and connections: what a process does only in its first seconds. */
export async function warmUp(
  bench: Bench,
  targets: readonly { readonly url: string; readonly pid: number }[],
  load: Load,
): Promise<void> {
  if (bench.short) return
  for (const target of targets) await measureThroughput(bench, target, load)
}

async function wrk(bench: Bench, url: string, { bytes, path }: Load, options: LoadOptions): Promise<Answers> {
  const script = writeConfig(bench, `load-${bytes}.lua`, wrkScript(bytes))
  const { cores = LOAD_CORE, threads = 1 } = options
  const args = [`-t${threads}`, `-c${CONNECTIONS}`, `-d${bench.seconds}s`, '-s', script, `${url}${path}`]
  const output = await bench.processes.run(cores, 'wrk', args)
  return JSON.parse(output.slice(output.lastIndexOf('\n{'))) as Answers
}

/** Requests are made once: composing each anew costs the load's core more than sending it. */
function wrkScript(bytes: number): string {
  return `local requests, n = {}, 0
function init()
  local body = string.rep('x', ${bytes})
  for user = 1, ${USERS} do
    local headers = { ['Content-Type'] = 'application/octet-stream', ['x-user-id'] = 'user-' .. user }
    requests[user] = wrk.format('POST', nil, headers, body)
  end
end
function request() n = n % ${USERS} + 1; return requests[n] end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('\\n{"requests":%d,"seconds":%f,"errors":%d,"p50Ms":%f,"p99Ms":%f}\\n', summary.requests,
    summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3))
end
`
}

/** Enough for both variants to be asked, few enough for the requests to stay in a processor's cache. */
const USERS = 64

async function autocannon(
  bench: Bench,
  url: string,
  { bytes, path }: Load,
  { cores = LOAD_CORE }: LoadOptions,
): Promise<Answers> {
  const settings = { url: `${url}${path}`, bytes, connections: CONNECTIONS, seconds: bench.seconds }
  const output = await bench.processes.run(cores, process.execPath, [AUTOCANNON, JSON.stringify(settings)])
  return JSON.parse(output) as Answers
}
