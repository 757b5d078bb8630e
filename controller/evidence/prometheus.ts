import { systemClock, type Clock } from '../../lib/clock.ts'
import type { Sample } from '../../lib/exposition.ts'
import type { Evidence, EvidenceResult } from './evidence.ts'
import { queryInstant, type PrometheusServer, type TimedSample } from './prometheus-api.ts'
import { ASSIGNED, DURATION_BUCKETS, REQUESTS, samplesToCounters, samplesToSeries } from './samples.ts'

export interface PrometheusOptions extends PrometheusServer {
  readonly clock?: Clock
  /** Samples older than this are not the present: twice the default scrape interval. */
  readonly maxSampleAgeSeconds?: number
}

/**
 * Reads the raw counters from a Prometheus server, never rate() or increase(): those extrapolate, and the judge needs the
 * counts themselves.
 */
export function createPrometheus(options: PrometheusOptions): Evidence {
  const { clock = systemClock, maxSampleAgeSeconds = 120 } = options
  return {
    async look(route, beside = []) {
      const t = clock.now() / 1000
      const selector = `{route=${JSON.stringify(route)},kind="split"}`
      const requests = await queryInstant(options, `${REQUESTS}${selector}`)
      if (requests.kind === 'failed') return failed(requests.reason)
      const unknown = `Prometheus knows no requests to route ${route}`
      const [first] = requests.vector
      if (!first) return { kind: 'no-data', reason: unknown, failed: false }

      // The first answer says what time it is at the server; the others are evaluated at that same time.
      const ofRoute = `{route=${JSON.stringify(route)}}`
      const [readAt, buckets, assigned, ...others] = await Promise.all([
        queryInstant(options, `timestamp(${REQUESTS}${selector})`, first.time),
        queryInstant(options, `${DURATION_BUCKETS}${ofRoute}`, first.time),
        queryInstant(options, `${ASSIGNED}${ofRoute}`, first.time),
        ...beside.map(name => queryInstant(options, `${name}${ofRoute}`, first.time)),
      ])
      if (readAt.kind === 'failed') return failed(readAt.reason)
      if (buckets.kind === 'failed') return failed(buckets.reason)
      if (assigned.kind === 'failed') return failed(assigned.reason)

      const unread = others.find(answer => answer.kind === 'failed')
      if (unread) return failed(unread.reason)

      const stale = staleInstances(readAt.vector, maxSampleAgeSeconds)
      const samples = [...requests.vector, ...buckets.vector, ...assigned.vector].filter(
        ({ labels }) => !stale.has(instanceOf(labels)),
      )
      const series = samplesToSeries(samples, { route, idOf: instanceOf })
      const counters = samplesToCounters(
        others.flatMap(answer => (answer.kind === 'vector' ? answer.vector : [])),
        { route, idOf: instanceOf, names: beside },
      ).filter(({ id }) => !stale.has(id))
      const warnings = [...stale].map(
        instance => `${instance}: last scraped over ${maxSampleAgeSeconds} s ago`,
      )
      if (series.length === 0) {
        return { kind: 'no-data', reason: warnings.join('; ') || unknown, failed: warnings.length > 0 }
      }
      return {
        kind: 'look',
        look: { t, series, ...(beside.length > 0 && { counters }) },
        warnings: [...requests.warnings, ...warnings],
      }
    },
  }
}

function failed(reason: string): EvidenceResult {
  return { kind: 'no-data', reason, failed: true }
}

function instanceOf(labels: Sample['labels']): string {
  return labels['instance'] ?? ''
}

function staleInstances(readAt: readonly TimedSample[], maxAgeSeconds: number): ReadonlySet<string> {
  const old = readAt.filter(({ time, value }) => time - value > maxAgeSeconds)
  return new Set(old.map(({ labels }) => instanceOf(labels)))
}
