import { z } from 'zod'
import type { Sample } from '../../lib/exposition.ts'
import { fetchText } from './fetch-text.ts'

export interface PrometheusServer {
  /** Such as http://127.0.0.1:9090, with the path prefix if there is one. */
  readonly baseUrl: string
  readonly timeoutMs?: number
}

export interface TimedSample extends Sample {
  /** When the query was evaluated, in seconds of the server's clock. */
  readonly time: number
}

export type Answer =
  | { readonly kind: 'vector'; readonly vector: readonly TimedSample[]; readonly warnings: readonly string[] }
  | { readonly kind: 'failed'; readonly reason: string }

const MAX_ANSWER_BYTES = 32 * 1024 ** 2

/**
 * An instant query, evaluated at `time` (seconds) or at the server's now. A scalar is a vector of one without labels.
 * https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
 */
export async function queryInstant(server: PrometheusServer, promql: string, time?: number): Promise<Answer> {
  const { baseUrl, timeoutMs = 2000 } = server
  const url = new URL(`${baseUrl.replace(/\/$/, '')}/api/v1/query`)
  url.searchParams.set('query', promql)
  if (time !== undefined) url.searchParams.set('time', String(time))
  const fetched = await fetchText(url, { timeoutMs, maxBytes: MAX_ANSWER_BYTES })
  if (fetched.kind === 'failed') return fetched
  const parsed = answer.safeParse(parseJson(fetched.text))
  if (!parsed.success)
    return { kind: 'failed', reason: `${url.origin}: not an answer of Prometheus' HTTP API` }
  const { data, warnings } = parsed.data
  const points = data.resultType === 'scalar' ? [{ metric: {}, value: data.result }] : data.result
  return { kind: 'vector', vector: points.map(toSample), warnings }
}

const value = z.tuple([z.number(), z.string()])
const point = z.object({ metric: z.record(z.string(), z.string()), value })
const answer = z.object({
  status: z.literal('success'),
  warnings: z.array(z.string()).default([]),
  data: z.discriminatedUnion('resultType', [
    z.object({ resultType: z.literal('vector'), result: z.array(point) }),
    z.object({ resultType: z.literal('scalar'), result: value }),
  ]),
})

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function toSample({ metric, value: [time, text] }: z.infer<typeof point>): TimedSample {
  const { __name__: name = '', ...labels } = metric
  return { name, labels, time, value: toNumber(text) }
}

function toNumber(text: string): number {
  return text.endsWith('Inf') ? (text.startsWith('-') ? -Infinity : Infinity) : Number(text)
}
