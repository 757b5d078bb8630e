import { ENDED_PHASES, pipelineSettings } from '../../contract/pipeline.ts'
import type { Store } from '../store.ts'
import type { Run } from './pipeline-run.ts'

export interface StoredRun {
  readonly run: Run
  /** Grows by one with every change; the ETag of the API. */
  readonly version: number
}

export type PipelineStore = ReturnType<typeof createPipelineStore>

const SHOWN_RUNS = 200

/** Runs of the pipeline. Writing goes within the caller's transaction. */
export function createPipelineStore({ db }: Store) {
  const select = db.prepare('SELECT run, version FROM pipeline_runs WHERE id = ?')
  const selectAll = db.prepare(
    'SELECT run, version FROM pipeline_runs ORDER BY created_at DESC, rowid DESC LIMIT ?',
  )
  const selectActive = db.prepare(
    'SELECT run, version FROM pipeline_runs WHERE active = 1 ORDER BY created_at, rowid',
  )
  const insert = db.prepare(
    `INSERT INTO pipeline_runs (id, model, run, active, registered, version, created_at)
     VALUES (?, ?, ?, 1, ?, 1, ?)`,
  )
  const update = db.prepare(
    'UPDATE pipeline_runs SET run = ?, active = ?, version = version + 1 WHERE id = ?',
  )
  const selectTaken = db.prepare('SELECT 1 FROM pipeline_registrations WHERE content = ?')
  const insertTaken = db.prepare('INSERT OR IGNORE INTO pipeline_registrations (content) VALUES (?)')
  return {
    get(id: string): StoredRun | undefined {
      const row = select.get(id)
      return row && toRun(row)
    },
    /** Newest first. */
    list: (): StoredRun[] => selectAll.all(SHOWN_RUNS).map(toRun),
    /** Oldest first. */
    active: (): StoredRun[] => selectActive.all().map(toRun),
    create(run: Run): void {
      const registered = run.trigger === 'registration' ? registrationKey(run) : null
      insert.run(run.id, run.model, JSON.stringify(run), registered, run.startedAt)
    },
    save: (run: Run) => void update.run(JSON.stringify(run), ENDED_PHASES.has(run.phase) ? 0 : 1, run.id),
    /** Which contents were seen registered, whatever came of that. */
    registrations: {
      wasTaken: (content: Registered): boolean => selectTaken.get(registrationKey(content)) !== undefined,
      take: (content: Registered) => void insertTaken.run(registrationKey(content)),
      /** Whether those of a model were ever looked at; its name alone is no content's key. */
      hasBegun: (model: string): boolean => selectTaken.get(model) !== undefined,
      begin: (model: string) => void insertTaken.run(model),
    },
  }
}

type Registered = Pick<Run, 'model' | 'version' | 'digest'>

function registrationKey({ model, version, digest }: Registered): string {
  return `${model}/${version} ${digest}`
}

function toRun(row: Record<string, unknown>): StoredRun {
  const later = { cancellation: null, waitsFor: null } // what runs lack that an earlier Weir wrote
  const run = { ...later, ...(JSON.parse(String(row['run'])) as Run) }
  return { run: { ...run, settings: pipelineSettings.parse(run.source) }, version: Number(row['version']) }
}
