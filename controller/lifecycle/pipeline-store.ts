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
  const selectRegistered = db.prepare('SELECT 1 FROM pipeline_runs WHERE registered = ?')
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
    /** Whether this content's registration has started a run. */
    wasStarted: (content: Registered): boolean =>
      selectRegistered.get(registrationKey(content)) !== undefined,
  }
}

type Registered = Pick<Run, 'model' | 'version' | 'digest'>

function registrationKey({ model, version, digest }: Registered): string {
  return `${model}/${version} ${digest}`
}

function toRun(row: Record<string, unknown>): StoredRun {
  const run = JSON.parse(String(row['run'])) as Run
  return { run: { ...run, settings: pipelineSettings.parse(run.source) }, version: Number(row['version']) }
}
