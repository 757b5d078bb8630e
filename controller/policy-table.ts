import type { PolicyView } from '../client/gateway.ts'
import { routePolicy } from '../contract/policy.ts'
import type { Store } from './store.ts'

/** A change that is about to be written, and what its record will say. */
export interface Intent {
  readonly patch: unknown
  readonly subject: string | undefined
  readonly reason: string | undefined
}

export interface KnownPolicy extends PolicyView {
  readonly route: string
  /** What was to be written when it was known last; null when nothing was, or when it was answered. */
  readonly intent: Intent | null
}

/** The last policy of each route that was seen or written. */
export function createPolicyTable({ db }: Store) {
  const select = db.prepare('SELECT * FROM policies WHERE route = ?')
  const selectAll = db.prepare('SELECT * FROM policies ORDER BY route')
  const upsert = db.prepare(
    `INSERT INTO policies (route, version, policy) VALUES (?1, ?2, ?3)
     ON CONFLICT (route) DO UPDATE SET version = ?2, policy = ?3, intent = NULL`,
  )
  const updateIntent = db.prepare('UPDATE policies SET intent = ? WHERE route = ?')
  const remove = db.prepare('DELETE FROM policies WHERE route = ?')
  return {
    get(route: string): KnownPolicy | undefined {
      const row = select.get(route)
      return row && toKnown(row)
    },
    all: (): KnownPolicy[] => selectAll.all().map(toKnown),
    remember: (route: string, { policy, version }: PolicyView) =>
      void upsert.run(route, version, JSON.stringify(policy)),
    intend: (route: string, intent: Intent) => void updateIntent.run(JSON.stringify(intent), route),
    forget: (route: string) => void remove.run(route),
  }
}

function toKnown(row: Record<string, unknown>): KnownPolicy {
  const intent = row['intent']
  return {
    route: String(row['route']),
    version: Number(row['version']),
    policy: routePolicy.parse(JSON.parse(String(row['policy']))),
    intent: typeof intent === 'string' ? (JSON.parse(intent) as Intent) : null,
  }
}
