import type { Decision, Look } from '../../contract/history.ts'
import type { MetricName } from '../../contract/metrics.ts'
import type { Strategy } from '../../contract/strategy.ts'
import { createGrowth, type Grown } from '../evidence/growth.ts'
import { createAbsolute } from './absolute.ts'
import { createAgreement } from './agreement.ts'
import { createCustomMetrics, whyNotAdvance, type MetricStanding } from './custom-metrics.ts'
import { logMean } from './e-value.ts'
import type { Judge } from './judge.ts'
import type { JudgeOptions } from './options.ts'
import { createSilentGate } from './silent-gate.ts'

const COMPARISONS = 'weir_comparisons_total' satisfies MetricName
const SLOWER = 'weir_comparison_latency_difference_seconds_sum' satisfies MetricName
export const PAIR_COUNTERS: readonly MetricName[] = [COMPARISONS, SLOWER]

const MAX_E = 1e300

/**
 * Judges a candidate that only gets copies: proven alike it advances, and proven otherwise it is withdrawn, each decidable at
 * any look. Latency is a rule of operation, applied once the rest is proven.
 */
export function createShadow(options: JudgeOptions, settings: NonNullable<Strategy['shadow']>): Judge {
  const grownBy = createGrowth()
  const ruleOnMetrics = createCustomMetrics(options.metrics)
  const pairs = createPairs(settings)
  const threshold = 1 / options.alpha
  let metrics: readonly MetricStanding[] = []
  let held: readonly string[] = []
  let cause: Decision['cause'] = null

  return {
    step(look: Look): Decision {
      metrics = ruleOnMetrics(look)
      held = metrics.flatMap(whyNotAdvance)
      pairs.step(grownBy(look))
      if (pairs.logHarm() >= Math.log(threshold)) cause ??= pairs.worst()
      const proven = pairs.isProven()
      if (proven && pairs.isTooSlow()) cause ??= 'latency'
      const action = cause !== null ? 'withdraw' : proven && held.length === 0 ? 'advance' : 'hold'
      const { compared } = pairs
      const reason = [`${SAYS[action]}: ${pairs.describe(cause)}`, ...held].join('; ')
      const e = Math.min(MAX_E, Math.exp(pairs.logHarm()))
      const exposure = { stable: compared(), candidate: compared() }
      return { t: look.t, action, e, threshold, cause, u: 1, exposure, reason }
    },
    holds: () => held,
    metrics: () => metrics,
    evidence: () => ({ client_error: 1, latency: 1, absolute: 1, failure: Math.exp(pairs.logHarm()) }),
    endedBlock: () => true,
    ...createSilentGate(options),
  }
}

const SAYS = {
  withdraw: 'withdrawn',
  advance: 'the copies are answered alike',
  hold: 'comparing',
} as const

function createPairs(settings: NonNullable<Strategy['shadow']>) {
  const disagreementLimit = 1 - settings.agreement.atLeast
  const failureLimit = settings.failures.atMost
  const { level } = settings
  const agreement = createAgreement({ limit: disagreementLimit, level })
  const soundness = createAgreement({ limit: failureLimit, level })
  const disagrees = createAbsolute(disagreementLimit)
  const fails = createAbsolute(failureLimit)
  const total = { pairs: 0, agreed: 0, failed: 0, slowerSeconds: 0 }
  const noise = { pairs: 0, disagreed: 0 }

  function step(grown: readonly Grown[]): void {
    const of = (variant: string, ...results: string[]) =>
      grown
        .filter(one => one.name === COMPARISONS && one.variant === variant)
        .filter(({ labels }) => results.includes(labels['result'] ?? ''))
        .reduce((sum, { by }) => sum + by, 0)
    const [agreed, disagreed] = [of('candidate', 'agree'), of('candidate', 'disagree')]
    const failed = of('candidate', 'failure', 'invalid')
    const floor = noise.pairs === 0 ? 0 : noise.disagreed / noise.pairs
    agreement.step(disagreed, agreed + disagreed, floor)
    soundness.step(failed, agreed + disagreed + failed)
    // what stable disagrees with itself is no disagreement of the candidate's
    disagrees.step(Math.max(0, disagreed - floor * (agreed + disagreed)), agreed + disagreed)
    fails.step(failed, agreed + disagreed + failed)
    total.pairs += agreed + disagreed + failed
    total.agreed += agreed
    total.failed += failed
    total.slowerSeconds += grown
      .filter(one => one.name === SLOWER && one.variant === 'candidate')
      .reduce((sum, { by }) => sum + by, 0)
    noise.pairs += of('stable', 'agree', 'disagree')
    noise.disagreed += of('stable', 'disagree')
  }

  /** What is proven: the harm, or how far the opposite is. */
  function standing(cause: Decision['cause']): string[] {
    if (cause === 'disagreement') return [`more than ${inPercent(disagreementLimit)} disagree`]
    if (cause === 'failure') return [`more than ${inPercent(failureLimit)} fail`]
    return [
      `below ${inPercent(disagreementLimit)} disagreement is ${agreement.isCertified() ? '' : 'not '}proven`,
      `below ${inPercent(failureLimit)} failures is ${soundness.isCertified() ? '' : 'not '}proven`,
    ]
  }

  const meanSlowerMs = () => (total.slowerSeconds * 1000) / Math.max(1, total.pairs - total.failed)
  return {
    step,
    compared: () => total.pairs,
    logHarm: () => logMean([disagrees.logValue(), fails.logValue()]),
    worst: () => (fails.logValue() > disagrees.logValue() ? 'failure' : 'disagreement'),
    isProven: () => agreement.isCertified() && soundness.isCertified(),
    isTooSlow: () => meanSlowerMs() > (settings.latency?.slowerByAtMostMs ?? Infinity),
    describe: (cause: Decision['cause']) =>
      [
        `${total.agreed} of ${total.pairs} pairs agree, ${total.failed} copies failed`,
        `${meanSlowerMs().toFixed(1)} ms slower on average`,
        ...standing(cause),
      ].join(', '),
  } as const
}

function inPercent(fraction: number): string {
  return `${Number((fraction * 100).toPrecision(3))} %`
}
