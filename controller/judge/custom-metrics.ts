import type { Look, Measured } from '../../contract/history.ts'
import type { Metric } from '../../contract/rollout.ts'
import { createCustomMetric, type Measurement, type MetricRuling } from './custom-metric.ts'

/** Where one of the team's own metrics stands after a look. */
export interface MetricStanding {
  readonly name: string
  /** As it was measured; null: it could not be. NaN and infinities as Prometheus writes them, since JSON has none. */
  readonly value: Measured['value'] | null
  readonly action: MetricRuling['action']
  readonly reason: string | null
}

/** Rules on all custom metrics of a rollout, look by look. Throws when a condition cannot be read. */
export function createCustomMetrics(metrics: readonly Metric[]) {
  const rules = metrics.map(metric => ({ metric, rule: createCustomMetric(metric) }))
  return ({ metrics: measured = [] }: Look): readonly MetricStanding[] =>
    rules.map(({ metric: { name, dryRun }, rule }) => {
      const own = measured.find(one => one.name === name)
      const ruling = rule(toMeasurement(own))
      const standing = { name, value: own?.value ?? null }
      if (ruling.action === 'pass') return { ...standing, action: 'pass', reason: null }
      if (!dryRun) return { ...standing, ...ruling }
      return { ...standing, action: 'pass', reason: `dry run, would ${ruling.action}: ${ruling.reason}` }
    })
}

export function whyNotAdvance({ action, reason }: MetricStanding): readonly string[] {
  return action === 'pass' || reason === null ? [] : [reason]
}

function toMeasurement(measured: Measured | undefined): Measurement {
  if (measured?.value === undefined)
    return { kind: 'error', reason: measured?.error ?? 'it was not measured at this look' }
  return { kind: 'value', value: toNumber(measured.value) }
}

function toNumber(value: NonNullable<Measured['value']>): number {
  switch (value) {
    case 'NaN':
      return Number.NaN
    case '+Inf':
      return Infinity
    case '-Inf':
      return -Infinity
    default:
      return value
  }
}
