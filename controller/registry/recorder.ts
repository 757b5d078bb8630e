import type { Clock } from '../../lib/clock.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Audit } from '../audit.ts'
import type { Store } from '../store.ts'

interface RecorderOptions {
  readonly store: Store
  readonly audit: Audit
  readonly clock: Clock
}

interface Entry {
  readonly actor: string
  readonly action: string
  readonly subject: string
  readonly reason: string
  readonly evidence: object
}

/** Records what is decided about another system. */
export function createRecorder({ store, audit, clock }: RecorderOptions) {
  function record(entry: Entry): void {
    audit.append({ at: new Date(clock.now()).toISOString(), ...entry })
  }

  /** The record first, so that nothing is done without one. */
  async function recorded(entry: Entry, work: () => Promise<void>): Promise<void> {
    store.transaction(() => record(entry))
    try {
      await work()
    } catch (error) {
      const failed = { ...entry, action: `${entry.action}-failed`, reason: describeProblem(error) }
      store.transaction(() => record(failed))
      throw error
    }
  }

  return { record, recorded }
}
