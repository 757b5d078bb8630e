import { createRouteTable } from '../../gateway/worker/route-table.ts'
import { routePolicy } from '../../contract/policy.ts'
import { alternate, medians, type Bench, type Target } from './bench.ts'
import { BEST_GENERATOR, KB_1, measureThroughput, warmUp } from './load.ts'
import { table, times, whole } from './table.ts'
import { ownCpuMicros } from './usage.ts'
import { everyFeature, startWeir } from './weir.ts'

const MANY = 10_000
const MANY_IN_SHORT = 200
/** Every route is a file that is written and synced at the start. */
const START_LIMIT_MS = 300_000
const LEAST = 0.95

/** One route beside 10,000: the requests a second of one of them, and what choosing among all of them costs. */
export async function measureRoutes(bench: Bench): Promise<Target[]> {
  const many = bench.short ? MANY_IN_SHORT : MANY
  const load = { ...KB_1, path: pathOf(many / 2) }
  const begun = performance.now()

  const crowded = await startWeir(bench, {
    routes: routes(bench.upstream, many),
    startLimitMs: START_LIMIT_MS,
  })
  const startSeconds = (performance.now() - begun) / 1000
  const single = await startWeir(bench, { routes: [routeAt(bench.upstream, many / 2)] })
  const gateways = [single, crowded]
  await warmUp(bench, gateways, load)
  const rounds = await alternate(bench, gateways, async weir => {
    const before = ownCpuMicros(weir.pid)
    const throughput = await measureThroughput(bench, weir, load)
    return { ...throughput, primaryPercent: (ownCpuMicros(weir.pid) - before) / bench.seconds / 10_000 }
  })
  const [one, all] = gateways.map(weir => medians(rounds.get(weir) ?? []))
  await bench.processes.stop(gateways.map(({ pid }) => pid))
  if (one === undefined || all === undefined) throw new Error('nothing was measured')
  const row = (count: number, { perSecond, cpuMicros, primaryPercent }: typeof one) => [
    whole(count),
    whole(perSecond),
    whole(cpuMicros),
    `${whole(primaryPercent)} %`,
    whole(selectionNanos(bench.upstream, count)),
  ]
  bench.print(
    table(
      [
        `routes (POST 1 KB to one, ${BEST_GENERATOR})`,
        'req/s',
        'CPU µs/req',
        'primary busy',
        'selection, ns',
      ],
      [row(1, one), row(many, all)],
    ) + `the gateway with ${whole(many)} routes was up after ${startSeconds.toFixed(1)} s\n`,
  )
  const share = all.perSecond / one.perSecond
  const reason = `the primary took ${whole(all.primaryPercent)} % of the core against ${whole(one.primaryPercent)} % with one route`
  const name = `${whole(many)} routes >= ${times(LEAST)} one route`
  return [{ name, reached: times(share), met: share >= LEAST, reason }]
}

function routes(upstream: string, count: number): Record<string, unknown>[] {
  return Array.from({ length: count }, (_, index) => routeAt(upstream, index))
}

/** Without probes: 20,000 endpoints asked every two seconds would be a load of its own. */
function routeAt(upstream: string, index: number): Record<string, unknown> {
  return {
    ...everyFeature(upstream),
    name: `route-${index}`,
    match: { pathPrefix: pathOf(index) },
    probe: { enabled: false },
  }
}

function pathOf(index: number): string {
  return `/models/${index}/x`
}

const LOOKUPS = 1_000_000

/** Of one lookup, over paths of all routes in turn. */
function selectionNanos(upstream: string, count: number): number {
  const lookup = createRouteTable(routes(upstream, count).map(route => routePolicy.parse(route)))
  const facts = Array.from({ length: count }, (_, index) => ({
    port: 0,
    host: 'localhost',
    path: pathOf(index),
    method: 'POST',
    headers: {},
  }))
  const begun = performance.now()
  for (let index = 0; index < LOOKUPS; index++) {
    const wanted = facts[index % count]
    if (wanted === undefined || lookup.match(wanted) === undefined) throw new Error('a route is missing')
  }
  return ((performance.now() - begun) * 1e6) / LOOKUPS
}
