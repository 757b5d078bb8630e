import { alternate, medians, type Bench, type Target } from './bench.ts'
import {
  BEST_GENERATOR,
  GENERATORS,
  KB_1,
  KB_60,
  measureThroughput,
  warmUp,
  type Generator,
  type Load,
  type Throughput,
} from './load.ts'
import { startPeers, stopProxies, type Proxy } from './peers.ts'
import { table, times, whole } from './table.ts'
import { startWeir } from './weir.ts'

const NOTE = `A proxy whose core is not busy was held back by load and upstream. "By CPU" is what "weir is" would be if it were not.
`

type Rates = ReadonlyMap<string, Throughput>

/** Requests a second through each proxy as fast as it goes, and the processor time that each request takes. */
export async function measureRates(bench: Bench): Promise<Target[]> {
  const proxies = [await startWeir(bench), ...(await startPeers(bench))]
  const found = new Map<Load, Rates>()
  await warmUp(bench, proxies, KB_60)
  for (const generator of bench.short ? [BEST_GENERATOR] : GENERATORS)
    for (const load of bench.short ? [KB_60] : [KB_1, KB_60]) {
      const rates = await measureLoad(bench, proxies, load, generator)
      bench.print(tableOf(rates, `POST ${load.name}, ${generator}`))
      if (generator === BEST_GENERATOR) found.set(load, rates)
    }
  await stopProxies(bench, proxies)
  bench.print(NOTE)
  return [...targetsOf(found, KB_1, 0.4), ...targetsOf(found, KB_60, 0.65)]
}

async function measureLoad(
  bench: Bench,
  proxies: readonly Proxy[],
  load: Load,
  generator: Generator,
): Promise<Rates> {
  const rounds = await alternate(bench, proxies, proxy =>
    measureThroughput(bench, proxy, load, { generator }),
  )
  return new Map([...rounds].map(([{ name }, all]) => [name, medians(all)]))
}

function tableOf(rates: Rates, title: string): string {
  const ours = rates.get('weir')
  if (ours === undefined) throw new Error('our gateway was not measured')
  const head = [title, 'req/s', 'weir is', 'by CPU', 'CPU µs/req', 'core busy', 'p50 ms', 'p99 ms']
  return table(
    head.map((name, column) => (column === 0 ? name.padEnd(26) : name)),
    [...rates].map(([name, { perSecond, cpuMicros, busyPercent, p50Ms, p99Ms }]) => [
      name,
      whole(perSecond),
      times(ours.perSecond / perSecond),
      times(cpuMicros / ours.cpuMicros),
      whole(cpuMicros),
      `${whole(busyPercent)} %`,
      p50Ms.toFixed(2),
      p99Ms.toFixed(2),
    ]),
  )
}

function targetsOf(found: ReadonlyMap<Load, Rates>, load: Load, ofNginx: number): Target[] {
  const rates = found.get(load)
  if (rates === undefined) return []
  const wanted = [
    ['nginx', ofNginx],
    ['reply-from', 1.8],
    ['http-proxy', 2],
  ] as const
  return wanted.map(([peer, ratio]) => {
    const name = `>= ${times(ratio)} ${peer} at ${load.name}`
    const [ours, theirs] = [rates.get('weir'), rates.get(peer)]
    if (ours === undefined || theirs === undefined)
      return { name, reached: '–', met: 'not measured', reason: `${peer} is not installed` }
    const reached = ours.perSecond / theirs.perSecond
    return {
      name,
      reached: `${times(reached)} (by CPU ${times(theirs.cpuMicros / ours.cpuMicros)})`,
      met: reached >= ratio,
      reason: `${whole(ours.cpuMicros)} µs of CPU a request against ${whole(theirs.cpuMicros)}`,
    }
  })
}
