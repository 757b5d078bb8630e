import { ENVIRONMENTS, type EnvironmentName } from '../../contract/environment.ts'
import type { Clock } from '../../lib/clock.ts'
import type { AuditRecord } from '../audit.ts'
import type { Store } from '../store.ts'
import type { HistoryEntry } from './environment-state.ts'
import type { EnvironmentStore } from './environment-store.ts'
import { foundBad, revert, type RevertOrder, type RevertResult } from './revert.ts'

interface ReverterOptions {
  readonly store: Store
  readonly environments: EnvironmentStore
  readonly clock: Clock
  /** Into the audit. */
  readonly record: (name: EnvironmentName, told: Pick<AuditRecord, 'action' | 'actor' | 'reason'>) => void
}

/** Returns to the last good version where that deployment is what failed; a newer one is left alone. */
export function createReverter({ store, environments, clock, record }: ReverterOptions) {
  /** Wherever else it was seen good before, nothing returns to it any more. */
  function forgetElsewhere(name: EnvironmentName, failed: HistoryEntry, reason: string): void {
    for (const other of ENVIRONMENTS.filter(one => one !== name)) {
      const { current } = environments.get(other).state
      const bad = foundBad(environments.history(other), failed, current)
      for (const revision of bad)
        environments.record(other, {
          kind: 'failed',
          revision,
          failure: `failed in ${name}: ${reason}`,
          tell: false,
        })
    }
  }

  /** What serves users is theirs to be judged by: nothing but a rollback there takes it away. */
  function keep(name: EnvironmentName, failed: HistoryEntry): void {
    environments.saveEntry(name, { ...failed, telling: 'kept' })
    const reason = `version ${failed.version} is not marked as failed: production runs it`
    record(name, { action: 'not-marked', actor: 'controller', reason })
  }

  return (name: EnvironmentName, order: Omit<RevertOrder, 'now'>): RevertResult =>
    store.transaction(() => {
      const { state } = environments.get(name)
      const reverted = revert(state, environments.history(name), { ...order, now: clock.now() })
      const { result, outcomes } = reverted
      if (outcomes.length === 0 && reverted.state === state) return result
      environments.save(reverted.state)
      for (const outcome of outcomes) environments.record(name, outcome)
      record(name, { action: 'revert', actor: order.actor, reason: `${order.reason} (${result})` })
      const failed = environments.entry(name, order.revision)
      if (failed?.telling !== 'due') return result
      const { current: production } = environments.get('production').state
      if (production?.digest === failed.digest && name !== 'production') keep(name, failed)
      else forgetElsewhere(name, failed, order.reason)
      return result
    })
}
