import { z } from 'zod'
import { systemClock, type Clock } from '../../lib/clock.ts'
import type { Sample } from '../../lib/exposition.ts'
import type { Evidence } from './evidence.ts'
import { fetchText } from './fetch-text.ts'
import { DURATION_BUCKETS, REQUESTS, samplesToSeries } from './samples.ts'

export interface PrometheusOptions {
  /** Such as http://127.0.0.1:9090, with the path prefix if there is one. */
  readonly baseUrl: string
  readonly clock?: Clock
  readonly timeoutMs?: number
  /** Samples older than this are not the present: twice the default scrape interval. */
  readonly maxSampleAgeSeconds?: number
}

const MAX_ANSWER_BYTES = 32 * 1024 ** 2

/**
 * Reads the raw counters from Prometheus' HTTP API, never rate() or increase(): those extrapolate, and the judge needs
 * the counts themselves. https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
 */
export function createPrometheus(options: PrometheusOptions): Evidence {
  const { clock = systemClock, maxSampleAgeSeconds = 120 } = options
  return {
    async look(route) {
      const t = clock.now() / 1000
      const selector = `{route=${JSON.stringify(route)},kind="split"}`
      const requests = await query(options, `${REQUESTS}${selector}`)
      if (requests.kind === 'failed') return { kind: 'no-data', reason: requests.reason }
      const [first] = requests.vector
      if (!first) return { kind: 'no-data', reason: `Prometheus knows no requests to route ${route}` }

      // The first answer says what time it is at the server; the others are evaluated at that same time.
      const at = { time: first.time }
      const [readAt, buckets] = await Promise.all([
        query(options, `timestamp(${REQUESTS}${selector})`, at),
        query(options, `${DURATION_BUCKETS}{route=${JSON.stringify(route)}}`, at),
      ])
      if (readAt.kind === 'failed') return { kind: 'no-data', reason: readAt.reason }
      if (buckets.kind === 'failed') return { kind: 'no-data', reason: buckets.reason }

      const stale = staleInstances(readAt.vector, maxSampleAgeSeconds)
      const samples = [...requests.vector, ...buckets.vector].filter(
        sample => !stale.has(instanceOf(sample.labels)),
      )
      const series = samplesToSeries(samples, { route, idOf: instanceOf })
      const warnings = [...stale].map(
        instance => `${instance}: last scraped over ${maxSampleAgeSeconds} s ago`,
      )
      if (series.length === 0) return { kind: 'no-data', reason: warnings.join('; ') }
      return { kind: 'look', look: { t, series }, warnings: [...requests.warnings, ...warnings] }
    },
  }
}

function instanceOf(labels: Sample['labels']): string {
  return labels['instance'] ?? ''
}

function staleInstances(readAt: readonly TimedSample[], maxAgeSeconds: number): ReadonlySet<string> {
  const old = readAt.filter(({ time, value }) => time - value > maxAgeSeconds)
  return new Set(old.map(({ labels }) => instanceOf(labels)))
}

interface TimedSample extends Sample {
  /** When the query was evaluated, in seconds of the server's clock. */
  readonly time: number
}

type Answer =
  | { readonly kind: 'vector'; readonly vector: readonly TimedSample[]; readonly warnings: readonly string[] }
  | { readonly kind: 'failed'; readonly reason: string }

const answer = z.object({
  status: z.literal('success'),
  warnings: z.array(z.string()).default([]),
  data: z.object({
    resultType: z.literal('vector'),
    result: z.array(
      z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) }),
    ),
  }),
})

async function query(options: PrometheusOptions, promql: string, at?: { time: number }): Promise<Answer> {
  const { baseUrl, timeoutMs = 2000 } = options
  const url = new URL(`${baseUrl.replace(/\/$/, '')}/api/v1/query`)
  url.searchParams.set('query', promql)
  if (at) url.searchParams.set('time', String(at.time))
  const fetched = await fetchText(url, { timeoutMs, maxBytes: MAX_ANSWER_BYTES })
  if (fetched.kind === 'failed') return fetched
  const parsed = answer.safeParse(parseJson(fetched.text))
  if (!parsed.success)
    return { kind: 'failed', reason: `${url.origin}: not an answer of Prometheus' HTTP API` }
  const { data, warnings } = parsed.data
  return { kind: 'vector', vector: data.result.map(toSample), warnings }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function toSample({
  metric,
  value: [time, text],
}: z.infer<typeof answer>['data']['result'][number]): TimedSample {
  const { __name__: name = '', ...labels } = metric
  return { name, labels, time, value: toNumber(text) }
}

function toNumber(text: string): number {
  return text.endsWith('Inf') ? (text.startsWith('-') ? -Infinity : Infinity) : Number(text)
}
