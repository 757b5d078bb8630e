import type { Measurement } from '../judge/custom-metric.ts'
import { queryInstant, type PrometheusServer } from './prometheus-api.ts'

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
