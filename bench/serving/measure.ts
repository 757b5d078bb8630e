import { parseExposition } from '../../lib/exposition.ts'
import { NAMES, type Contender } from './contenders.ts'
import { quantile } from './figures.ts'
import { probeHealth } from './health.ts'
import { runLoad, runPaced, type Load, type LoadResult } from './load.ts'
import { readProcessTree } from './process-tree.ts'
import { startServer, type ServerProcess } from './server-process.ts'

export interface Plan {
  readonly forms: readonly Buffer[]
  readonly connections: readonly number[]
  readonly seconds: number
  /** Requests a second at which everybody's latency is compared. */
  readonly pacedPerSecond: number | undefined
}

type Metrics = Readonly<Record<string, number>>

const WARM_UP_SECONDS = 1
const PACED_CONNECTIONS = 8

/** One round of one contender, from its start to its end. */
export async function measureContender(contender: Contender, plan: Plan): Promise<Metrics> {
  const server = await startServer(contender.command)
  try {
    const load = { url: `${server.url}/predict`, forms: plan.forms, seconds: plan.seconds }
    await runLoad({ ...load, connections: PACED_CONNECTIONS, seconds: WARM_UP_SECONDS })
    const paced = plan.pacedPerSecond === undefined ? {} : await measurePaced(load, plan.pacedPerSecond)
    const metrics: Metrics[] = [{ ready: server.readyMs }, paced]
    for (const connections of plan.connections) {
      metrics.push(await measureLoad(server, { ...load, connections }))
    }
    // last, since what it leaves in a queue would disturb the others
    if (contender.name === NAMES.OURS) metrics.push(await measureHealth(server, load))
    metrics.push({ resident: readProcessTree(server.pid).residentMiB })
    return Object.assign({}, ...metrics) as Metrics
  } finally {
    await server.stop()
  }
}

async function measureLoad(server: ServerProcess, load: Load): Promise<Metrics> {
  const { result, cpuMs } = await loadAndCount(server, load)
  const at = (name: string) => `${name} at ${load.connections}`
  return {
    [at('rate')]: result.answered / result.seconds,
    [at('p50')]: result.p50Ms,
    [at('p99')]: result.p99Ms,
    [at('cpu')]: cpuMs,
    [at('other')]: result.other,
  }
}

/** `runner` is given where a certain load generator is meant. */
export async function loadAndCount(
  server: ServerProcess,
  load: Load,
  runner: (load: Load) => Promise<LoadResult> = runLoad,
): Promise<{ result: LoadResult; cpuMs: number }> {
  const before = readProcessTree(server.pid).cpuSeconds
  const result = await runner(load)
  const cpuSeconds = readProcessTree(server.pid).cpuSeconds - before
  return { result, cpuMs: (1000 * cpuSeconds) / result.answered }
}

async function measurePaced(load: Omit<Load, 'connections'>, perSecond: number): Promise<Metrics> {
  const { answered, seconds, p50Ms, p99Ms } = await runPaced({
    ...load,
    perSecond,
    connections: PACED_CONNECTIONS,
  })
  return { 'paced rate': answered / seconds, 'paced p50': p50Ms, 'paced p99': p99Ms }
}

export const FULL_LOAD_CONNECTIONS = 64

/** Health answers and the HTTP thread while every core computes. */
async function measureHealth(server: ServerProcess, load: Omit<Load, 'connections'>): Promise<Metrics> {
  await readEventLoop(server.url) // a scrape begins a new measurement
  const probe = probeHealth(server.healthUrl)
  await runLoad({ ...load, connections: FULL_LOAD_CONNECTIONS })
  const times = await probe.stop()
  const { busyMs, lateMs } = await readEventLoop(server.url)
  return {
    'health p50': quantile(times, 0.5),
    'health p99': quantile(times, 0.99),
    'thread busy': busyMs,
    'thread late': lateMs,
  }
}

/** What the HTTP thread computed in one go, at most, and by how much it came late at p99, since the last reading. */
export async function readEventLoop(url: string): Promise<{ busyMs: number; lateMs: number }> {
  const samples = parseExposition(await (await fetch(`${url}/metrics`)).text())
  const inMs = (name: string, quantile: string) =>
    1000 *
    (samples.find(sample => sample.name === name && sample.labels['quantile'] === quantile)?.value ??
      Number.NaN)
  return {
    busyMs: inMs('weir_serving_event_loop_busy_seconds', '1'),
    lateMs: inMs('weir_serving_event_loop_delay_seconds', '0.99'),
  }
}
