import { EventEmitter } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export interface Store {
  readonly db: DatabaseSync
  /** Runs `work` as one transaction: all of it lasts, also through a power cut, or none of it. Within another it joins that. */
  transaction<T>(work: () => T): T
  /** Calls back soon after each commit; the result ends that. */
  onCommit(listener: () => void): () => void
  close(): void
}

/** Opens the controller's database in the state folder. Throws when it is damaged or written by a newer Weir. */
export function openStore(stateDir: string): Store {
  mkdirSync(stateDir, { recursive: true })
  return prepareStore(new DatabaseSync(join(stateDir, 'controller.db')))
}

function prepareStore(db: DatabaseSync): Store {
  db.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000',
  )
  const committed = new EventEmitter().setMaxListeners(0)
  const transaction = <T>(work: () => T): T => {
    if (db.isTransaction) return work()
    db.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      db.exec('COMMIT')
      committed.emit('commit')
      return result
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK') // on a full disk SQLite has done so itself
      throw error
    }
  }
  transaction(() => migrate(db))
  return {
    db,
    transaction,
    onCommit(listener) {
      const soon = () => void setImmediate(() => db.isOpen && listener()) // not as a part of whoever committed
      committed.on('commit', soon)
      return () => committed.off('commit', soon)
    },
    close: () => db.close(),
  }
}

/** One entry a schema version; appended to, never edited, because databases of users have run them. */
const MIGRATIONS = [
  `CREATE TABLE rollouts (
     name TEXT PRIMARY KEY, route TEXT NOT NULL, file TEXT NOT NULL, state TEXT NOT NULL, active INTEGER NOT NULL,
     version INTEGER NOT NULL, created_at INTEGER NOT NULL) STRICT;
   CREATE UNIQUE INDEX one_active_rollout_a_route ON rollouts (route) WHERE active = 1;
   CREATE TABLE looks (
     rollout TEXT NOT NULL REFERENCES rollouts (name), seq INTEGER NOT NULL, look TEXT NOT NULL,
     PRIMARY KEY (rollout, seq)) STRICT, WITHOUT ROWID;
   CREATE TABLE audit (
     seq INTEGER PRIMARY KEY, record TEXT NOT NULL, previous_hash TEXT NOT NULL, hash TEXT NOT NULL) STRICT;
   CREATE TABLE deployments (
     id TEXT PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, drill TEXT, port INTEGER NOT NULL UNIQUE,
     pid INTEGER, stop_at INTEGER, created_at INTEGER NOT NULL) STRICT;
   CREATE TABLE idempotency (
     key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL, answer TEXT NOT NULL,
     created_at INTEGER NOT NULL) STRICT`,
  // which audit record came last, so that the newest ones cannot go missing unseen
  `CREATE TABLE audit_head (only INTEGER PRIMARY KEY CHECK (only = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;
   INSERT INTO audit_head SELECT 1, seq, hash FROM audit ORDER BY seq DESC LIMIT 1`,
  // the last known policy of each route, so that every version by somebody else is noticed, also over a restart
  `CREATE TABLE policies (
     route TEXT PRIMARY KEY, version INTEGER NOT NULL, policy TEXT NOT NULL, intent TEXT) STRICT`,
  // what is to be told to others, persisted with the decision that it tells; and alerts, so that a restart does not repeat them
  `CREATE TABLE outbox (
     seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL UNIQUE, lane TEXT NOT NULL, target TEXT NOT NULL,
     body TEXT NOT NULL, repeat_ms INTEGER, created_at INTEGER NOT NULL, give_up_at INTEGER, next_at INTEGER NOT NULL,
     attempts INTEGER NOT NULL DEFAULT 0, passed INTEGER NOT NULL DEFAULT 0, reason TEXT, answered_at INTEGER,
     done_at INTEGER) STRICT;
   CREATE INDEX outbox_pending ON outbox (lane, seq) WHERE done_at IS NULL;
   CREATE TABLE alerts (
     id TEXT PRIMARY KEY, key TEXT NOT NULL, alert TEXT NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER) STRICT;
   CREATE UNIQUE INDEX one_firing_alert_a_key ON alerts (key) WHERE ended_at IS NULL`,
  // the registry; an arrival is a version that is being registered, so that one which was interrupted is finished or forgotten
  `CREATE TABLE model_versions (
     model TEXT NOT NULL, version TEXT NOT NULL, digest TEXT NOT NULL, registered_at INTEGER, registered_by TEXT,
     failed TEXT, PRIMARY KEY (model, version)) STRICT, WITHOUT ROWID;
   CREATE TABLE model_aliases (
     model TEXT NOT NULL, alias TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (model, alias)) STRICT, WITHOUT ROWID;
   CREATE TABLE model_arrivals (
     model TEXT NOT NULL, version TEXT NOT NULL, digest TEXT NOT NULL, registered_at INTEGER NOT NULL,
     registered_by TEXT NOT NULL, PRIMARY KEY (model, version)) STRICT, WITHOUT ROWID`,
  // what runs in which environment, and everything that ever did
  `CREATE TABLE environments (name TEXT PRIMARY KEY, state TEXT NOT NULL, version INTEGER NOT NULL) STRICT;
   CREATE TABLE environment_history (
     environment TEXT NOT NULL REFERENCES environments (name), revision INTEGER NOT NULL, entry TEXT NOT NULL,
     PRIMARY KEY (environment, revision)) STRICT, WITHOUT ROWID`,
  // a deployment has several processes
  `CREATE TABLE processes (
     deployment TEXT NOT NULL, number INTEGER NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL, drill TEXT,
     port INTEGER NOT NULL UNIQUE, pid INTEGER, stop_at INTEGER, created_at INTEGER NOT NULL,
     PRIMARY KEY (deployment, number)) STRICT;
   INSERT INTO processes SELECT id, 0, model, version, drill, port, pid, stop_at, created_at FROM deployments;
   DROP TABLE deployments`,
  // runs of the pipeline; of each registered content one at most begins by itself
  `CREATE TABLE pipeline_runs (
     id TEXT PRIMARY KEY, model TEXT NOT NULL, run TEXT NOT NULL, active INTEGER NOT NULL, registered TEXT UNIQUE,
     version INTEGER NOT NULL, created_at INTEGER NOT NULL) STRICT`,
  // an environment may allow its processes less memory than their manifests
  `ALTER TABLE processes ADD COLUMN memory_limit_mib INTEGER`,
  // an ETag that every look changed guarded nothing
  `ALTER TABLE rollouts RENAME COLUMN version TO changes;
   ALTER TABLE rollouts ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
   UPDATE rollouts SET version = changes`,
  // gates that a person runs, with what they found so far, so that none is forgotten with its controller
  `CREATE TABLE environment_gates (environment TEXT PRIMARY KEY REFERENCES environments (name), run TEXT NOT NULL) STRICT`,
  // which registrations the pipeline has seen, so that none is missed however close they follow each other
  `CREATE TABLE pipeline_registrations (content TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
   INSERT INTO pipeline_registrations SELECT registered FROM pipeline_runs WHERE registered IS NOT NULL`,
]

function migrate(db: DatabaseSync): void {
  const row = db.prepare('PRAGMA user_version').get() as { user_version: number }
  if (row.user_version > MIGRATIONS.length) {
    throw new Error(
      `controller.db has schema version ${row.user_version}, this Weir knows ${MIGRATIONS.length}: use the newer Weir`,
    )
  }
  for (const migration of MIGRATIONS.slice(row.user_version)) db.exec(migration)
  db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`)
}
