import { DURATION_BOUNDS, METRICS } from '../../contract/metrics.ts'
import type { Counts, HistogramDelta } from '../messages.ts'

/** Totals over all workers. A worker that dies takes what it had not pushed with it and nothing else: totals never fall. */
export interface Totals {
  add(counts: Counts): void
  /** One counter of the primary's own. */
  count(series: string, delta: number): void
  valueOf(series: string): number
  /** Drops series, of epochs or routes that are gone. */
  forget(isGone: (series: string) => boolean): void
  /** The exposition, of one route or of all; `gauges` are values of this moment. */
  render(gauges: readonly (readonly [series: string, value: number])[], route?: string): string
}

interface HistogramTotal {
  readonly buckets: Float64Array
  sum: number
}

export function createTotals(): Totals {
  const counters = new Map<string, number>()
  const histograms = new Map<string, HistogramTotal>()
  const count = (series: string, delta: number) =>
    void counters.set(series, (counters.get(series) ?? 0) + delta)
  return {
    add({ counters: deltas, histograms: histogramDeltas }) {
      for (const [series, delta] of deltas) count(series, delta)
      for (const delta of histogramDeltas) addHistogram(histograms, delta)
    },
    count,
    valueOf: series => counters.get(series) ?? 0,
    forget(isGone) {
      for (const series of counters.keys()) if (isGone(series)) counters.delete(series)
      for (const series of histograms.keys()) if (isGone(series)) histograms.delete(series)
    },
    render(gauges, route) {
      const wanted = routeFilter(route)
      const lines = new Map<string, string[]>(Object.keys(METRICS).map(name => [name, []]))
      for (const [series, value] of [...counters, ...gauges])
        if (wanted(series)) lines.get(familyOf(series))?.push(`${series} ${formatNumber(value)}`)
      for (const [series, total] of histograms)
        if (wanted(series)) lines.get(familyOf(series))?.push(...histogramLines(series, total))
      return renderFamilies(lines)
    },
  }
}

function addHistogram(
  histograms: Map<string, HistogramTotal>,
  { series, sum, buckets }: HistogramDelta,
): void {
  const total = histograms.get(series) ?? { buckets: new Float64Array(DURATION_BOUNDS.length + 1), sum: 0 }
  histograms.set(series, total)
  total.sum += sum
  for (const [index, count] of buckets) total.buckets[index] = (total.buckets[index] ?? 0) + count
}

function routeFilter(route: string | undefined): (series: string) => boolean {
  if (route === undefined) return () => true
  const label = `route="${route}"`
  return series => series.includes(`{${label}`) || series.includes(`,${label}`) || !series.includes('route="')
}

function familyOf(series: string): string {
  const brace = series.indexOf('{')
  return brace === -1 ? series : series.slice(0, brace)
}

function histogramLines(series: string, { buckets, sum }: HistogramTotal): string[] {
  const name = familyOf(series)
  const labels = series.slice(name.length + 1, -1)
  const lines: string[] = []
  let below = 0
  for (const [index, count] of buckets.entries()) {
    below += count
    lines.push(`${name}_bucket{${labels},le="${DURATION_BOUNDS[index] ?? '+Inf'}"} ${below}`)
  }
  lines.push(`${name}_sum{${labels}} ${formatNumber(sum)}`, `${name}_count{${labels}} ${below}`)
  return lines
}

function renderFamilies(families: ReadonlyMap<string, readonly string[]>): string {
  return Object.entries(METRICS)
    .filter(([name]) => (families.get(name)?.length ?? 0) > 0)
    .map(
      ([name, { help, type }]) =>
        `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${families.get(name)?.join('\n')}\n`,
    )
    .join('')
}

function formatNumber(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(12)))
}
