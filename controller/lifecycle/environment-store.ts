import type { EnvironmentName, GatesRun } from '../../contract/environment.ts'
import type { Store } from '../store.ts'
import { describeGates } from './environment-gates-words.ts'
import type { Outcome } from './environment-machine.ts'
import { emptyEnvironment, type EnvironmentState, type HistoryEntry } from './environment-state.ts'

export interface StoredEnvironment {
  readonly state: EnvironmentState
  /** Grows by one with every change of the state; the ETag of the API. */
  readonly version: number
}

export type EnvironmentStore = ReturnType<typeof createEnvironmentStore>

/** Environments and everything that ever ran in them. Writing goes within the caller's transaction. */
export function createEnvironmentStore({ db }: Store, model: string) {
  const select = db.prepare('SELECT state, version FROM environments WHERE name = ?')
  const upsert = db.prepare(
    `INSERT INTO environments (name, state, version) VALUES (?1, ?2, 1)
     ON CONFLICT (name) DO UPDATE SET state = ?2, version = version + 1`,
  )
  const selectEntries = db.prepare(
    'SELECT entry FROM environment_history WHERE environment = ? ORDER BY revision DESC LIMIT ?',
  )
  const selectEntry = db.prepare(
    'SELECT entry FROM environment_history WHERE environment = ? AND revision = ?',
  )
  const upsertEntry = db.prepare(
    `INSERT INTO environment_history (environment, revision, entry) VALUES (?1, ?2, ?3)
     ON CONFLICT (environment, revision) DO UPDATE SET entry = ?3`,
  )

  function entryOf(name: EnvironmentName, revision: number): HistoryEntry | undefined {
    const row = selectEntry.get(name, revision)
    return row && toEntry(row)
  }

  function saveEntry(name: EnvironmentName, entry: HistoryEntry): void {
    upsertEntry.run(name, entry.revision, JSON.stringify(entry))
  }

  const selectGates = db.prepare('SELECT run FROM environment_gates WHERE environment = ?')
  const upsertGates = db.prepare(
    `INSERT INTO environment_gates (environment, run) VALUES (?1, ?2)
     ON CONFLICT (environment) DO UPDATE SET run = ?2`,
  )
  const deleteGates = db.prepare('DELETE FROM environment_gates WHERE environment = ?')

  /** Gates that a person runs, with what they found so far: one run an environment. */
  const gatesUnderWay = {
    get(name: EnvironmentName): GatesRun | undefined {
      const row = selectGates.get(name)
      return row && (JSON.parse(String(row['run'])) as GatesRun)
    },
    set: (name: EnvironmentName, run: GatesRun) => void upsertGates.run(name, JSON.stringify(run)),
    end: (name: EnvironmentName) => void deleteGates.run(name),
  }

  return {
    gatesUnderWay,
    get(name: EnvironmentName): StoredEnvironment {
      const row = select.get(name)
      if (row === undefined) return { state: emptyEnvironment(name, model), version: 0 }
      const state = JSON.parse(String(row['state'])) as EnvironmentState
      return { state: { ...emptyEnvironment(name, model), ...state }, version: Number(row['version']) }
    },
    save: (state: EnvironmentState) => void upsert.run(state.name, JSON.stringify(state)),
    /** Newest first. */
    history: (name: EnvironmentName, limit = 1000): HistoryEntry[] =>
      selectEntries.all(name, limit).map(toEntry),
    entry: entryOf,
    saveEntry,
    /** Writes down what became of a deployment. */
    record(name: EnvironmentName, outcome: Outcome): void {
      if (outcome.kind === 'begun') return saveEntry(name, outcome.entry)
      if (outcome.kind === 'closed') return
      const entry = entryOf(name, outcome.revision)
      if (entry !== undefined) saveEntry(name, afterOutcome(entry, outcome))
    },
  }
}

function afterOutcome(
  entry: HistoryEntry,
  outcome: Exclude<Outcome, { kind: 'begun' | 'closed' }>,
): HistoryEntry {
  if (outcome.kind === 'verified') {
    const { at, good, placement } = outcome
    return { ...entry, ...placement, verifiedAt: at, ...(good !== null && { goodAt: at, goodBy: good }) }
  }
  const telling = outcome.tell && entry.telling === 'no' ? 'due' : entry.telling
  const gate = entry.gate ?? outcome.gate ?? null
  return { ...entry, failure: entry.failure ?? outcome.failure, gate, telling }
}

function toEntry(row: Record<string, unknown>): HistoryEntry {
  const entry = JSON.parse(String(row['entry'])) as HistoryEntry
  const { gates = null } = entry // earlier ones were written without these two
  const { failedGates = gates?.verdict === 'fail' ? describeGates(gates) : null } = entry
  return { ...entry, gates, failedGates }
}
