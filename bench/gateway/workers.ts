import { availableParallelism } from 'node:os'
import { alternate, medians, type Bench, type Target } from './bench.ts'
import { BEST_GENERATOR, KB_60, measureThroughput, warmUp } from './load.ts'
import { LOAD_CORE, PROXY_CORE } from './processes.ts'
import { table, times, whole } from './table.ts'
import { ownCpuMicros } from './usage.ts'
import { startWeir, type Weir } from './weir.ts'

const LEAST = 1.8
const NAME = `two workers >= ${times(LEAST)} one at 60 KB`

/**
 * Two workers beside one. With four cores each worker has one of its own and the load has two. With fewer, both share one
 * core: then only their cost shows, which says whether they have anything in common that would keep two from being twice one.
 */
export async function measureWorkers(bench: Bench): Promise<Target[]> {
  const spacious = availableParallelism() >= 4
  if (bench.short && !spacious) return [notMeasured('too few cores for a short form')]
  const cores = spacious ? '0,1' : PROXY_CORE
  const gateways = [
    await startWeir(bench, { name: 'one worker', workers: 1, cores }),
    await startWeir(bench, { name: 'two workers', workers: 2, cores }),
  ]
  const load = spacious ? { cores: '2,3', threads: 2 } : { cores: LOAD_CORE }
  const measure = async (weir: Weir) => {
    const before = ownCpuMicros(weir.pid)
    const throughput = await measureThroughput(bench, weir, KB_60, load)
    const primaryMicros = (ownCpuMicros(weir.pid) - before) / (throughput.perSecond * bench.seconds)
    return { ...throughput, primaryMicros }
  }
  await warmUp(bench, gateways, KB_60)
  const rounds = await alternate(bench, gateways, measure)
  const [one, two] = gateways.map(weir => medians(rounds.get(weir) ?? []))
  await bench.processes.stop(gateways.map(({ pid }) => pid))
  if (one === undefined || two === undefined) throw new Error('nothing was measured')
  const where = spacious ? 'a core each' : 'one core for all'
  bench.print(
    table(
      [`weir, POST 60 KB, ${BEST_GENERATOR}, ${where}`, 'req/s', 'CPU µs/req', 'of it primary'],
      [one, two].map((row, index) => [
        gateways[index]?.name ?? '',
        whole(row.perSecond),
        whole(row.cpuMicros),
        row.primaryMicros.toFixed(1),
      ]),
    ),
  )
  const ratio = two.perSecond / one.perSecond
  if (spacious) return [{ name: NAME, reached: times(ratio), met: ratio >= LEAST }]
  const expected = (2 * one.cpuMicros) / two.cpuMicros
  return [
    notMeasured(
      `${availableParallelism()} cores: load and upstream need one; by CPU a request ${times(expected)}`,
    ),
  ]
}

function notMeasured(reason: string): Target {
  return { name: NAME, reached: '–', met: 'not measured', reason }
}
