import { fileURLToPath } from 'node:url'
import { parseExposition } from '../../lib/exposition.ts'
import { alternate, medians, systemPort, type Bench, type Target } from './bench.ts'
import { measureThroughput, PREDICT, warmUp } from './load.ts'
import { measurePace, withoutPacer } from './pace.ts'
import { LOAD_CORE } from './processes.ts'
import { ms, table, whole } from './table.ts'
import { residentBytes } from './usage.ts'
import { everyFeature, startWeir, type Weir } from './weir.ts'

const HANGING_SHADOW = fileURLToPath(new URL('./hanging-shadow.ts', import.meta.url))
const MIB = 2 ** 20
/** Less than the load would fill, so that the cap on bytes is what bounds the copies. */
const CAP_BYTES = 16 * MIB
const MAX_IN_FLIGHT = 1000
/** Mirroring takes time of the same core, so what is left of it must hold both. */
const LOADS = [0.1, 0.25, 0.5]
const JUDGED_LOAD = 0.5
const MOST_SLOWER = 1.05
const MOST_ADDED_MS = 0.2

/** The live side's p99 while everything is copied, to a shadow that answers and to one that hangs; and the memory that takes. */
export async function measureMirror(bench: Bench): Promise<Target[]> {
  const unmeasured = withoutPacer(`mirror 100 %: p99 within 5 % or ${MOST_ADDED_MS} ms`)
  if (unmeasured) return unmeasured
  const shadow = await startHangingShadow(bench)
  const start = (name: string, shadowUrl: string, percent: number) =>
    startWeir(bench, { name, routes: [mirrored(bench.upstream, shadowUrl, percent)] })
  const gateways = [
    await start('no mirror', bench.upstream, 0),
    await start('mirror, shadow answers', bench.upstream, 100),
    await start('mirror, shadow hangs', shadow.url, 100),
  ]
  await warmUp(bench, gateways, PREDICT)
  const [plain] = gateways
  if (plain === undefined) throw new Error('our gateway did not start')
  const { perSecond } = await measureThroughput(bench, plain, PREDICT)
  const targets: Target[] = []
  for (const share of bench.short ? [JUDGED_LOAD] : LOADS) {
    const rounds = await alternate(bench, gateways, weir => measureGateway(bench, weir, share * perSecond))
    const found = gateways.map(weir => ({ name: weir.name, ...medians(rounds.get(weir) ?? []) }))
    bench.print(tableOf(found, share * perSecond, share))
    if (share === JUDGED_LOAD) targets.push(...targetsOf(found))
  }
  await bench.processes.stop([...gateways.map(({ pid }) => pid), shadow.pid])
  return targets
}

type Measured = Awaited<ReturnType<typeof measureGateway>>

async function measureGateway(bench: Bench, weir: Weir, perSecond: number) {
  const pace = await measurePace(bench, weir.url, { ...PREDICT, perSecond })
  const copies = await countCopies(weir)
  return { ...pace, ...copies, residentBytes: residentBytes(weir.pid) }
}

/** Copies sent and not ended hold their bodies; the gateway counts both. */
async function countCopies({ operatorUrl }: Weir): Promise<{ keptBytes: number; dropped: number }> {
  const samples = parseExposition(await (await fetch(`${operatorUrl}/metrics`)).text())
  const total = (name: string, wanted: (labels: Readonly<Record<string, string>>) => boolean) =>
    samples.reduce((sum, each) => (each.name === name && wanted(each.labels) ? sum + each.value : sum), 0)
  const sent = total('weir_mirror_total', ({ result }) => result === 'sent')
  const dropped = total('weir_mirror_total', ({ result }) => result !== 'sent')
  const ended = total('weir_requests_total', ({ kind }) => kind === 'mirror')
  return { keptBytes: (sent - ended) * PREDICT.bytes, dropped }
}

function tableOf(found: readonly (Measured & { name: string })[], perSecond: number, share: number): string {
  return table(
    [
      `POST 60 KB /predict, ${100 * share} % load: ${whole(perSecond)}/s`,
      'p50 ms',
      'p99 ms',
      'kept MiB',
      'resident MiB',
      'copies dropped',
    ],
    found.map(row => [
      row.name,
      ms(row.p50Ms),
      ms(row.p99Ms),
      (row.keptBytes / MIB).toFixed(1),
      whole(row.residentBytes / MIB),
      whole(row.dropped),
    ]),
  )
}

function targetsOf([plain, healthy, hanging]: readonly Measured[]): Target[] {
  if (!plain || !healthy || !hanging) throw new Error('nothing was measured')
  const slower = (name: string, { p99Ms }: Measured) => ({
    name: `mirror 100 % to a shadow that ${name}: p99 within 5 % or ${MOST_ADDED_MS} ms`,
    reached: `${ms(plain.p99Ms)} → ${ms(p99Ms)} ms`,
    met: p99Ms <= Math.max(plain.p99Ms * MOST_SLOWER, plain.p99Ms + MOST_ADDED_MS),
  })
  return [
    slower('answers', healthy),
    slower('hangs', hanging),
    {
      name: `memory of copies to a shadow that hangs <= its cap, ${CAP_BYTES / MIB} MiB`,
      reached: `${(hanging.keptBytes / MIB).toFixed(1)} MiB`,
      met: hanging.keptBytes <= CAP_BYTES,
      reason: `resident ${whole((hanging.residentBytes - plain.residentBytes) / MIB)} MiB more than without a mirror`,
    },
  ]
}

function mirrored(upstream: string, shadow: string, percent: number): Record<string, unknown> {
  return {
    ...everyFeature(upstream),
    variants: { stable: { endpoints: [upstream] }, candidate: { endpoints: [shadow] } },
    weights: { stable: 100, candidate: 0 },
    mirror: { to: 'candidate', percent, maxInFlight: MAX_IN_FLIGHT, maxBytes: CAP_BYTES },
  }
}

async function startHangingShadow({ processes }: Bench): Promise<{ url: string; pid: number }> {
  const port = await systemPort()
  const pid = processes.start(LOAD_CORE, process.execPath, [HANGING_SHADOW, String(port)])
  return { url: `http://127.0.0.1:${port}`, pid }
}
