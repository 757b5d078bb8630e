import type { SQLOutputValue } from 'node:sqlite'
import type { Drill } from '../../contract/rollout.ts'
import type { Store } from '../store.ts'

export interface DeploymentRow {
  readonly id: string
  readonly model: string
  readonly version: string
  readonly drill: Drill | null
  readonly port: number
  readonly pid: number | null
  /** Milliseconds since the epoch after which it is to be stopped; null: it is wanted. */
  readonly stopAt: number | null
}

/** The deployments that should run, and what is known of their processes. */
export function createDeploymentTable({ db }: Store) {
  const select = db.prepare('SELECT * FROM deployments WHERE id = ?')
  const selectAll = db.prepare('SELECT * FROM deployments ORDER BY created_at, id')
  const insert = db.prepare(
    'INSERT INTO deployments (id, model, version, drill, port, created_at) VALUES (?, ?, ?, ?, ?, ?)',
  )
  const updatePid = db.prepare('UPDATE deployments SET pid = ? WHERE id = ?')
  const updateStopAt = db.prepare('UPDATE deployments SET stop_at = ? WHERE id = ?')
  const remove = db.prepare('DELETE FROM deployments WHERE id = ?')
  return {
    get(id: string): DeploymentRow | undefined {
      const row = select.get(id)
      return row && toRow(row)
    },
    all: (): DeploymentRow[] => selectAll.all().map(toRow),
    add(row: Omit<DeploymentRow, 'pid' | 'stopAt'> & { createdAt: number }): DeploymentRow {
      const { id, model, version, drill, port, createdAt } = row
      insert.run(id, model, version, drill && JSON.stringify(drill), port, createdAt)
      return { id, model, version, drill, port, pid: null, stopAt: null }
    },
    setPid: (id: string, pid: number | null) => void updatePid.run(pid, id),
    stopAt: (id: string, at: number) => void updateStopAt.run(at, id),
    keep: (id: string) => void updateStopAt.run(null, id),
    remove: (id: string) => void remove.run(id),
  }
}

function toRow(row: Record<string, SQLOutputValue>): DeploymentRow {
  return {
    id: String(row['id']),
    model: String(row['model']),
    version: String(row['version']),
    drill: typeof row['drill'] === 'string' ? (JSON.parse(row['drill']) as Drill) : null,
    port: Number(row['port']),
    pid: row['pid'] === null ? null : Number(row['pid']),
    stopAt: row['stop_at'] === null ? null : Number(row['stop_at']),
  }
}
