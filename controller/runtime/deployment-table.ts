import type { SQLOutputValue } from 'node:sqlite'
import type { Drill } from '../../contract/rollout.ts'
import type { Store } from '../store.ts'

/** One process of a deployment. */
export interface ProcessRow {
  readonly deployment: string
  /** Grows with each process that is added. */
  readonly number: number
  readonly model: string
  readonly version: string
  readonly drill: Drill | null
  readonly port: number
  /** Less than its manifest allows; null: what that says. */
  readonly memoryLimitMiB: number | null
  readonly pid: number | null
  /** Milliseconds since the epoch after which it is to be stopped; null: it is wanted. */
  readonly stopAt: number | null
  readonly createdAt: number
}

type Named = Pick<ProcessRow, 'deployment' | 'number'>

/** The processes that deployments should have, and what is known of them. */
export function createDeploymentTable({ db }: Store) {
  const one = 'deployment = ? AND number = ?'
  const select = db.prepare(`SELECT * FROM processes WHERE ${one}`)
  const selectOf = db.prepare('SELECT * FROM processes WHERE deployment = ? ORDER BY number')
  const selectAll = db.prepare('SELECT * FROM processes ORDER BY created_at, deployment, number')
  const insert = db.prepare(
    `INSERT INTO processes (deployment, number, model, version, drill, port, memory_limit_mib, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  const updatePid = db.prepare(`UPDATE processes SET pid = ? WHERE ${one}`)
  const updateStopAt = db.prepare(`UPDATE processes SET stop_at = ? WHERE ${one}`)
  const updateLimit = db.prepare('UPDATE processes SET memory_limit_mib = ? WHERE deployment = ?')
  const remove = db.prepare(`DELETE FROM processes WHERE ${one}`)
  return {
    get({ deployment, number }: Named): ProcessRow | undefined {
      const row = select.get(deployment, number)
      return row && toRow(row)
    },
    /** In the order in which they were added. */
    of: (deployment: string): ProcessRow[] => selectOf.all(deployment).map(toRow),
    all: (): ProcessRow[] => selectAll.all().map(toRow),
    add(row: Omit<ProcessRow, 'pid' | 'stopAt'>): ProcessRow {
      const { deployment, number, model, version, drill, port, memoryLimitMiB, createdAt } = row
      const drillText = drill && JSON.stringify(drill)
      insert.run(deployment, number, model, version, drillText, port, memoryLimitMiB, createdAt)
      return { ...row, pid: null, stopAt: null }
    },
    setPid: ({ deployment, number }: Named, pid: number | null) =>
      void updatePid.run(pid, deployment, number),
    stopAt: ({ deployment, number }: Named, at: number) => void updateStopAt.run(at, deployment, number),
    keep: ({ deployment, number }: Named) => void updateStopAt.run(null, deployment, number),
    limitMemory: (deployment: string, limitMiB: number | null) => void updateLimit.run(limitMiB, deployment),
    remove: ({ deployment, number }: Named) => void remove.run(deployment, number),
  }
}

function toRow(row: Record<string, SQLOutputValue>): ProcessRow {
  return {
    deployment: String(row['deployment']),
    number: Number(row['number']),
    model: String(row['model']),
    version: String(row['version']),
    drill: typeof row['drill'] === 'string' ? (JSON.parse(row['drill']) as Drill) : null,
    port: Number(row['port']),
    memoryLimitMiB: row['memory_limit_mib'] === null ? null : Number(row['memory_limit_mib']),
    pid: row['pid'] === null ? null : Number(row['pid']),
    stopAt: row['stop_at'] === null ? null : Number(row['stop_at']),
    createdAt: Number(row['created_at']),
  }
}
