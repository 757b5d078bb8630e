import { alternate, medians, type Bench, type Target } from './bench.ts'
import { KB_1, KB_60, measureThroughput, warmUp, type Load } from './load.ts'
import { keepsUp, measurePace, type Pace } from './pace.ts'
import { startPeers, stopProxies } from './peers.ts'
import { ms, table, whole } from './table.ts'
import { startWeir } from './weir.ts'

const MOST_ADDED_MS = 1

/** p50 and p99 at half of what ours can do, the same rate for every proxy and for a call without one. */
export async function measureLatency(bench: Bench): Promise<Target[]> {
  const weir = await startWeir(bench)
  const proxies = bench.short ? [weir] : [weir, ...(await startPeers(bench))]
  const targets: Target[] = []
  for (const load of bench.short ? [KB_60] : [KB_1, KB_60]) {
    await warmUp(bench, proxies, load)
    const { perSecond } = await measureThroughput(bench, weir, load)
    const paced = { ...load, perSecond: perSecond / 2 }
    const subjects = [{ name: 'direct', url: bench.upstream }, ...proxies]
    const rounds = await alternate(bench, subjects, ({ url }) => measurePace(bench, url, paced))
    const paces = new Map([...rounds].map(([{ name }, all]) => [name, medians(all)]))
    bench.print(tableOf(paces, load, paced.perSecond))
    targets.push(targetOf(paces, load))
  }
  await stopProxies(bench, proxies)
  return targets
}

function tableOf(paces: ReadonlyMap<string, Pace>, load: Load, perSecond: number): string {
  const direct = paces.get('direct')?.p99Ms ?? Number.NaN
  return table(
    [`POST ${load.name}, half load: ${whole(perSecond)}/s`, 'p50 ms', 'p99 ms', 'p99 added', ''],
    [...paces].map(([name, pace]) => [
      name,
      ms(pace.p50Ms),
      ms(pace.p99Ms),
      name === 'direct' ? '' : ms(pace.p99Ms - direct),
      keepsUp(pace, perSecond) ? '' : `does not keep up: ${whole(pace.perSecond)}/s`,
    ]),
  )
}

function targetOf(paces: ReadonlyMap<string, Pace>, { name }: Load): Target {
  const [direct, weir] = [paces.get('direct'), paces.get('weir')]
  const added = (weir?.p99Ms ?? Number.NaN) - (direct?.p99Ms ?? Number.NaN)
  return {
    name: `p99 added at half load <= ${MOST_ADDED_MS} ms at ${name}`,
    reached: `${ms(added)} ms`,
    met: added <= MOST_ADDED_MS,
  }
}
