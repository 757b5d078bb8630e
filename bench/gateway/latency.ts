import { alternate, medians, type Bench, type Target } from './bench.ts'
import { KB_1, KB_60, measureThroughput, warmUp, type Load } from './load.ts'
import { keepsUp, measurePace, withoutPacer, type Pace, type PacedLoad } from './pace.ts'
import { startPeers, stopProxies } from './peers.ts'
import { ms, table, whole } from './table.ts'
import { startWeir } from './weir.ts'

const MOST_ADDED_MS = 1

/** p50 and p99 at half of what ours can do, the same rate for every proxy and for a call without one. */
export async function measureLatency(bench: Bench): Promise<Target[]> {
  const unmeasured = withoutPacer(`p99 added at half load <= ${MOST_ADDED_MS} ms`)
  if (unmeasured) return unmeasured
  const weir = await startWeir(bench)
  const proxies = bench.short ? [weir] : [weir, ...(await startPeers(bench))]
  const targets: Target[] = []
  for (const load of bench.short ? [KB_60] : [KB_1, KB_60]) {
    await warmUp(bench, proxies, load)
    const { perSecond } = await measureThroughput(bench, weir, load)
    const paced = { ...load, perSecond: perSecond / 2 }
    const subjects = [{ name: 'direct', url: bench.upstream }, ...proxies]
    const rounds = await alternate(bench, subjects, ({ url }) => measurePace(bench, url, paced))
    const paces = new Map([...rounds].map(([{ name }, all]) => [name, summaryOf(all)]))
    bench.print(tableOf(paces, load, paced.perSecond))
    targets.push(targetOf(paces, paced))
  }
  await stopProxies(bench, proxies)
  return targets
}

/** Medians, and the best round: other programs on the machine only ever add. */
type Summary = Pace & { readonly lowestP99Ms: number }

function summaryOf(rounds: readonly Pace[]): Summary {
  return { ...medians(rounds), lowestP99Ms: Math.min(...rounds.map(({ p99Ms }) => p99Ms)) }
}

function tableOf(paces: ReadonlyMap<string, Summary>, load: Load, perSecond: number): string {
  const direct = paces.get('direct')?.p99Ms ?? Number.NaN
  const title = `POST ${load.name}, half load: ${whole(perSecond)}/s`
  return table(
    [title, 'p50 ms', 'p99 ms', 'p99 added', 'p99 of best round', ''],
    [...paces].map(([name, pace]) => [
      name,
      ms(pace.p50Ms),
      ms(pace.p99Ms),
      name === 'direct' ? '' : ms(pace.p99Ms - direct),
      ms(pace.lowestP99Ms),
      keepsUp(pace, perSecond)
        ? ''
        : pace.perSecond > 0
          ? `does not keep up: ${whole(pace.perSecond)}/s`
          : 'requests failed',
    ]),
  )
}

function targetOf(paces: ReadonlyMap<string, Summary>, { name, perSecond }: PacedLoad): Target {
  const [direct, weir] = [paces.get('direct'), paces.get('weir')]
  if (direct === undefined || weir === undefined) throw new Error('nothing was measured')
  const added = weir.p99Ms - direct.p99Ms
  const target = `p99 added at half load <= ${MOST_ADDED_MS} ms at ${name}`
  if (!keepsUp(weir, perSecond) || !keepsUp(direct, perSecond)) {
    const reason = 'other programs took the time that half of the measured rate needs'
    return { name: target, reached: '–', met: 'not measured', reason }
  }
  const reason = `best rounds: ${ms(direct.lowestP99Ms)} ms direct, ${ms(weir.lowestP99Ms)} ms through weir`
  return { name: target, reached: `${ms(added)} ms`, met: added <= MOST_ADDED_MS, reason }
}
