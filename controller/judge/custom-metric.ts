import { parseCondition } from './condition.ts'

/** A metric of the team's own: a number from a query, and what it must and must not be. */
export interface CustomMetric {
  readonly name: string
  /** Gates advancing. */
  readonly successCondition?: string | undefined
  /** Withdraws when it is true `failureLimit` looks in a row: a rule of the operator's, outside the promise about alpha. */
  readonly failureCondition?: string | undefined
  readonly failureLimit: number
  /** Looks in a row without a result; more than these pause the rollout and alert. Until then they hold. */
  readonly consecutiveErrorLimit: number
}

export type Measurement =
  | { readonly kind: 'value'; readonly value: number }
  | { readonly kind: 'error'; readonly reason: string }

export type MetricRuling =
  | { readonly action: 'pass' }
  | { readonly action: 'hold' | 'withdraw' | 'pause'; readonly reason: string }

/** Rules on one custom metric, look by look. Throws when a condition cannot be read. */
export function createCustomMetric(metric: CustomMetric): (measurement: Measurement) => MetricRuling {
  const succeeds = metric.successCondition === undefined ? undefined : parseCondition(metric.successCondition)
  const fails = metric.failureCondition === undefined ? undefined : parseCondition(metric.failureCondition)
  let failuresInRow = 0
  let errorsInRow = 0
  let withdrawn = false

  function ruleOnError(reason: string): MetricRuling {
    errorsInRow += 1
    const action = errorsInRow > metric.consecutiveErrorLimit ? 'pause' : 'hold'
    return { action, reason: `${metric.name} cannot be measured: ${reason}` }
  }

  function ruleOnValue(value: number): MetricRuling {
    errorsInRow = 0
    failuresInRow = fails?.(value) ? failuresInRow + 1 : 0
    if (failuresInRow >= metric.failureLimit) withdrawn = true
    if (failuresInRow > 0)
      return { action: 'hold', reason: `${metric.name} is ${value}: ${metric.failureCondition} holds` }
    if (succeeds && !succeeds(value))
      return {
        action: 'hold',
        reason: `${metric.name} is ${value}: ${metric.successCondition} does not hold`,
      }
    return { action: 'pass' }
  }

  return measurement => {
    const ruling =
      measurement.kind === 'error' ? ruleOnError(measurement.reason) : ruleOnValue(measurement.value)
    if (!withdrawn) return ruling
    const rule = `${metric.failureCondition}, ${metric.failureLimit} looks in a row`
    return { action: 'withdraw', reason: `by the operator's rule for ${metric.name}: ${rule}` }
  }
}
