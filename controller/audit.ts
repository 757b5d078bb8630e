import { canonicalJson, sha256 } from '../lib/hash.ts'
import type { Store } from './store.ts'

export interface AuditRecord {
  /** ISO 8601, UTC. */
  readonly at: string
  /** Who decided: "controller", or the operator's name. */
  readonly actor: string
  readonly action: string
  /** What it was about, such as a rollout's name. */
  readonly subject: string
  readonly reason: string
  readonly evidence?: unknown
  readonly policyVersion?: { readonly before: number | null; readonly after: number | null }
}

export interface StoredAuditRecord extends AuditRecord {
  readonly seq: number
  readonly hash: string
}

export interface Audit {
  /** Appends one record; call it inside the transaction that persists the decision itself. */
  append(record: AuditRecord): void
  /** Newest first. */
  list(options?: { subject?: string | undefined; limit?: number | undefined }): StoredAuditRecord[]
}

const FIRST_HASH = '0'.repeat(64)

/** An append-only chain: each record's hash covers the one before, so that a changed or missing record shows. */
export function createAudit({ db }: Store): Audit {
  const last = db.prepare('SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1')
  const insert = db.prepare('INSERT INTO audit (seq, record, previous_hash, hash) VALUES (?, ?, ?, ?)')
  const select = db.prepare(
    `SELECT seq, record, hash FROM audit WHERE ?1 IS NULL OR record ->> 'subject' = ?1 ORDER BY seq DESC LIMIT ?2`,
  )
  return {
    append(record) {
      const { seq, hash } = (last.get() as { seq: number; hash: string } | undefined) ?? {
        seq: 0,
        hash: FIRST_HASH,
      }
      const text = canonicalJson(record)
      insert.run(seq + 1, text, hash, sha256(hash, String(seq + 1), text))
    },
    list({ subject, limit = 200 } = {}) {
      const rows = select.all(subject ?? null, limit) as { seq: number; record: string; hash: string }[]
      return rows.map(({ seq, record, hash }) => ({ ...(JSON.parse(record) as AuditRecord), seq, hash }))
    },
  }
}
