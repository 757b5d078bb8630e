import type { Measurement } from '../judge/custom-metric.ts'
import type { Measured } from '../../contract/history.ts'
import type { Metric } from '../../contract/rollout.ts'
import { queryInstant, type PrometheusServer } from './prometheus-api.ts'

/** All of a rollout's custom metrics, at about the same time, as its history records them. Never rejects. */
export function measureAll(
  server: PrometheusServer | undefined,
  metrics: readonly Metric[],
): Promise<Measured[]> {
  return Promise.all(
    metrics.map(async ({ name, query }) => {
      const measurement: Measurement = server
        ? await measure(server, query)
        : { kind: 'error', reason: 'the controller knows no Prometheus server (PROMETHEUS_URL)' }
      if (measurement.kind === 'error') return { name, error: measurement.reason }
      return { name, value: toJson(measurement.value) }
    }),
  )
}

/** JSON has neither NaN nor infinities. */
function toJson(value: number): NonNullable<Measured['value']> {
  if (Number.isNaN(value)) return 'NaN'
  if (Number.isFinite(value)) return value
  return value > 0 ? '+Inf' : '-Inf'
}

/** The value of a custom metric: its query must answer with exactly one number. NaN is a value, and satisfies nothing. */
export async function measure(server: PrometheusServer, promql: string): Promise<Measurement> {
  const answer = await queryInstant(server, promql)
  if (answer.kind === 'failed') return { kind: 'error', reason: answer.reason }
  const [only, ...others] = answer.vector
  if (!only) return { kind: 'error', reason: 'the query has no result' }
  if (others.length > 0)
    return { kind: 'error', reason: `the query has ${answer.vector.length} results, not one` }
  return { kind: 'value', value: only.value }
}
