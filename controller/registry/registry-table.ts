import type { Alias } from '../../contract/registry.ts'
import type { Store } from '../store.ts'
import type { Aliases, ModelVersion } from './registry.ts'

/** A version that is being registered: its number and what it will be. */
export interface Arrival {
  readonly model: string
  readonly version: string
  readonly digest: string
  readonly registeredAt: number
  readonly registeredBy: string
}

/** What is known of versions beside their files. */
export function createRegistryTable({ db }: Store) {
  const select = db.prepare('SELECT * FROM model_versions WHERE model = ?')
  const selectOne = db.prepare('SELECT * FROM model_versions WHERE model = ? AND version = ?')
  const upsert = db.prepare(
    `INSERT INTO model_versions (model, version, digest, registered_at, registered_by) VALUES (?1, ?2, ?3, ?4, ?5)
     ON CONFLICT (model, version) DO UPDATE SET digest = ?3, registered_at = ?4, registered_by = ?5`,
  )
  const fail = db.prepare(
    `INSERT INTO model_versions (model, version, digest, failed) VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (model, version) DO UPDATE SET failed = ?4`,
  )
  const selectArrivals = db.prepare('SELECT * FROM model_arrivals')
  const insertArrival = db.prepare(
    'INSERT OR REPLACE INTO model_arrivals (model, version, digest, registered_at, registered_by) VALUES (?, ?, ?, ?, ?)',
  )
  const deleteArrival = db.prepare('DELETE FROM model_arrivals WHERE model = ? AND version = ?')
  const selectAliases = db.prepare('SELECT alias, version FROM model_aliases WHERE model = ?')
  const upsertAlias = db.prepare(
    `INSERT INTO model_aliases (model, alias, version) VALUES (?1, ?2, ?3)
     ON CONFLICT (model, alias) DO UPDATE SET version = ?3`,
  )
  const deleteAlias = db.prepare('DELETE FROM model_aliases WHERE model = ? AND alias = ?')
  return {
    versions: (model: string): ModelVersion[] => select.all(model).map(toVersion),
    version: (model: string, version: string): ModelVersion | undefined => {
      const row = selectOne.get(model, version)
      return row && toVersion(row)
    },
    add: ({ model, version, digest, registeredAt, registeredBy }: Arrival) =>
      void upsert.run(model, version, digest, registeredAt, registeredBy),
    /** Null: nothing is held against it. */
    fail: ({ model, version, digest }: ModelVersion, reason: string | null) =>
      void fail.run(model, version, digest, reason),
    arrivals: (): Arrival[] => selectArrivals.all().map(toArrival),
    expect: ({ model, version, digest, registeredAt, registeredBy }: Arrival) =>
      void insertArrival.run(model, version, digest, registeredAt, registeredBy),
    forget: ({ model, version }: Arrival) => void deleteArrival.run(model, version),
    aliases: (model: string): Aliases =>
      Object.fromEntries(selectAliases.all(model).map(row => [String(row['alias']), String(row['version'])])),
    setAlias: (model: string, alias: Alias, version: string | null) =>
      void (version === null ? deleteAlias.run(model, alias) : upsertAlias.run(model, alias, version)),
  }
}

type Row = Readonly<Record<string, unknown>>

function toVersion(row: Row): ModelVersion {
  return {
    model: String(row['model']),
    version: String(row['version']),
    digest: String(row['digest']),
    registeredAt: row['registered_at'] === null ? null : Number(row['registered_at']),
    registeredBy: row['registered_by'] === null ? null : String(row['registered_by']),
    failed: row['failed'] === null ? null : String(row['failed']),
  }
}

function toArrival(row: Row): Arrival {
  return {
    model: String(row['model']),
    version: String(row['version']),
    digest: String(row['digest']),
    registeredAt: Number(row['registered_at']),
    registeredBy: String(row['registered_by']),
  }
}
