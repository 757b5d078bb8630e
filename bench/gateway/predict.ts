import { alternate, medians, type Bench, type Target } from './bench.ts'
import { BEST_GENERATOR, KB_60, measureThroughput, PREDICT, warmUp } from './load.ts'
import { table, times, whole } from './table.ts'
import { startWeir } from './weir.ts'

const LEAST = 0.8

/** What it costs to hold an answer against the contract, give it an id and count its label. */
export async function measurePredict(bench: Bench): Promise<Target[]> {
  const weir = await startWeir(bench)
  await warmUp(bench, [weir], PREDICT)
  const rounds = await alternate(bench, [KB_60, PREDICT], load => measureThroughput(bench, weir, load))
  const [streamed, predicted] = [KB_60, PREDICT].map(load => medians(rounds.get(load) ?? []))
  await bench.processes.stop([weir.pid])
  if (streamed === undefined || predicted === undefined) throw new Error('nothing was measured')
  const row = (name: string, { perSecond, cpuMicros }: typeof streamed) => [
    name,
    whole(perSecond),
    whole(cpuMicros),
  ]
  bench.print(
    table(
      [`weir, POST 60 KB, ${BEST_GENERATOR}`, 'req/s', 'CPU µs/req'],
      [row('streamed', streamed), row('/predict: contract, id, label', predicted)],
    ),
  )
  const share = predicted.perSecond / streamed.perSecond
  return [
    { name: `/predict >= ${times(LEAST)} streamed at 60 KB`, reached: times(share), met: share >= LEAST },
  ]
}
