import { KEPT_EPOCHS } from '../../contract/metrics.ts'
import type { FeedbackReport, SpendVerdict } from '../messages.ts'
import { seriesOf } from '../series.ts'
import type { Totals } from './metrics.ts'

/** Spends prediction ids, each once until it expires, and counts what was reported. */
export interface FeedbackLedger {
  spend(report: FeedbackReport): SpendVerdict
  /** Forgets ids that have expired. */
  sweep(): void
}

export interface FeedbackLedgerOptions {
  readonly totals: Totals
  readonly now: () => number
  readonly maxRemembered?: number
}

export function createFeedbackLedger(options: FeedbackLedgerOptions): FeedbackLedger {
  const { totals, now, maxRemembered = 1_000_000 } = options
  const spentUntil = new Map<string, number>()
  const epochs = new Map<string, number[]>()

  /** Only the last epochs of a route are kept apart: a label set must not grow for ever. */
  function keepEpoch(route: string, epoch: number): boolean {
    const known = epochs.get(route) ?? []
    if (known.includes(epoch)) return true
    const kept = [...known, epoch].toSorted((a, b) => b - a).slice(0, KEPT_EPOCHS)
    epochs.set(route, kept)
    const gone = known.filter(other => !kept.includes(other)).map(other => `epoch="${other}"`)
    if (gone.length > 0)
      totals.forget(
        series => series.includes(`route="${route}"`) && gone.some(label => series.includes(label)),
      )
    return kept.includes(epoch)
  }

  function sweep(): void {
    const at = now()
    for (const [nonce, until] of spentUntil) if (until <= at) spentUntil.delete(nonce)
  }

  return {
    sweep,
    spend({ claims, expiresAt, feedback }) {
      if (spentUntil.has(claims.nonce)) return 'spent'
      if (spentUntil.size >= maxRemembered) sweep()
      if (spentUntil.size >= maxRemembered) return 'full'
      spentUntil.set(claims.nonce, expiresAt)
      const { route, variant, epoch, label } = claims
      if (!keepEpoch(route, epoch)) return 'counted' // too old to tell apart
      if (feedback.label !== undefined) {
        totals.count(
          seriesOf('weir_feedback_total', {
            route,
            variant,
            epoch,
            correct: String(feedback.label === label),
          }),
          1,
        )
      }
      if (feedback.outcome !== undefined) {
        const { name, value } = feedback.outcome
        totals.count(seriesOf('weir_outcomes_total', { route, variant, epoch, name }), 1)
        totals.count(seriesOf('weir_outcome_value_sum', { route, variant, epoch, name }), value)
      }
      return 'counted'
    },
  }
}
