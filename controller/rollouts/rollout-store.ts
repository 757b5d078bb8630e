import { isDeepStrictEqual } from 'node:util'
import { look as lookSchema, type Look } from '../../contract/history.ts'
import { rolloutFile, type RolloutFile } from '../../contract/rollout.ts'
import type { Store } from '../store.ts'
import { isOver, LATER_FIELDS, standOf, type RolloutState } from './rollout-state.ts'

export interface StoredRollout {
  readonly name: string
  readonly route: string
  /** As it was asked for, settings at their defaults filled in. */
  readonly file: RolloutFile
  /** As it was written. */
  readonly source: Readonly<Record<string, unknown>>
  readonly state: RolloutState
  /** Grows by one whenever `standOf` the state changes; the ETag of the API. */
  readonly version: number
  /** Grows by one with every change of the state. */
  readonly changes: number
}

export interface RolloutStore {
  get(name: string): StoredRollout | undefined
  /** Newest first. */
  list(): StoredRollout[]
  active(): StoredRollout[]
  /** The newest of each route, which is the one under way where there is one. */
  latest(): StoredRollout[]
  /** `source` is the file as written, which is parsed again on every read. Throws when the route has one under way. */
  create(rollout: { name: string; source: unknown; file: RolloutFile; state: RolloutState }): void
  save(name: string, state: RolloutState): void
  appendLook(name: string, look: Look): void
  looks(name: string): Look[]
}

export function createRolloutStore({ db }: Store): RolloutStore {
  const columns = 'SELECT name, route, file, state, version, changes FROM rollouts'
  const byName = db.prepare(`${columns} WHERE name = ?`)
  const all = db.prepare(`${columns} ORDER BY created_at DESC, rowid DESC LIMIT 1000`)
  const active = db.prepare(`${columns} WHERE active = 1 ORDER BY created_at`)
  const latest = db.prepare(
    `${columns} WHERE rowid IN (SELECT max(rowid) FROM rollouts GROUP BY route) ORDER BY route LIMIT 1000`,
  )
  const insert = db.prepare(
    'INSERT INTO rollouts (name, route, file, state, active, version, changes, created_at) VALUES (?, ?, ?, ?, ?, 1, 1, ?)',
  )
  const update = db.prepare(
    'UPDATE rollouts SET state = ?, active = ?, changes = changes + 1, version = version + ? WHERE name = ?',
  )
  const insertLook = db.prepare(
    'INSERT INTO looks (rollout, seq, look) SELECT ?1, coalesce(max(seq), 0) + 1, ?2 FROM looks WHERE rollout = ?1',
  )
  const selectLooks = db.prepare('SELECT look FROM looks WHERE rollout = ? ORDER BY seq')
  return {
    get(name) {
      const row = byName.get(name)
      return row && toRollout(row)
    },
    list: () => all.all().map(toRollout),
    active: () => active.all().map(toRollout),
    latest: () => latest.all().map(toRollout),
    create({ name, source, file, state }) {
      insert.run(
        name,
        file.spec.route,
        JSON.stringify(source),
        JSON.stringify(state),
        isOver(state) ? 0 : 1,
        state.startedAt,
      )
    },
    save(name, state) {
      const row = byName.get(name)
      const moved = row !== undefined && !isDeepStrictEqual(standOf(stateOf(row)), standOf(state))
      update.run(JSON.stringify(state), isOver(state) ? 0 : 1, moved ? 1 : 0, name)
    },
    appendLook: (name, look) => void insertLook.run(name, JSON.stringify(look)),
    looks: name => selectLooks.all(name).map(row => lookSchema.parse(JSON.parse(String(row['look'])))),
  }
}

function stateOf(row: Record<string, unknown>): RolloutState {
  return { ...LATER_FIELDS, ...(JSON.parse(String(row['state'])) as RolloutState) }
}

function toRollout(row: Record<string, unknown>): StoredRollout {
  const source = JSON.parse(String(row['file'])) as Record<string, unknown>
  return {
    name: String(row['name']),
    route: String(row['route']),
    source,
    file: rolloutFile.parse(source),
    state: stateOf(row),
    version: Number(row['version']),
    changes: Number(row['changes']),
  }
}
