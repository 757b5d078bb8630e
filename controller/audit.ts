import { canonicalJson } from '../lib/hash.ts'
import { EMPTY_CHAIN, hashOfRecord, verifyChain, type ChainHead, type Verification } from './audit-chain.ts'
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
  /** Whether every record is there as it was written; `noted`: a head that somebody kept from an earlier verification. */
  verify(noted?: ChainHead): Verification
}

/** An append-only chain: each record's hash covers the one before, so that a changed or missing record shows. */
export function createAudit({ db }: Store): Audit {
  const last = db.prepare('SELECT seq, hash FROM audit_head')
  const insert = db.prepare('INSERT INTO audit (seq, record, previous_hash, hash) VALUES (?, ?, ?, ?)')
  const moveHead = db.prepare(
    'INSERT INTO audit_head (only, seq, hash) VALUES (1, ?1, ?2) ON CONFLICT (only) DO UPDATE SET seq = ?1, hash = ?2',
  )
  const select = db.prepare(
    `SELECT seq, record, hash FROM audit WHERE ?1 IS NULL OR record ->> 'subject' = ?1 ORDER BY seq DESC LIMIT ?2`,
  )
  const inOrder = db.prepare('SELECT seq, record, previous_hash, hash FROM audit ORDER BY seq')
  const head = () => (last.get() as ChainHead | undefined) ?? EMPTY_CHAIN

  return {
    append(record) {
      const previous = head()
      const seq = previous.seq + 1
      const text = canonicalJson(record)
      const hash = hashOfRecord(previous.hash, seq, text)
      insert.run(seq, text, previous.hash, hash)
      moveHead.run(seq, hash)
    },
    list({ subject, limit = 200 } = {}) {
      const rows = select.all(subject ?? null, limit) as { seq: number; record: string; hash: string }[]
      return rows.map(({ seq, record, hash }) => ({ ...(JSON.parse(record) as AuditRecord), seq, hash }))
    },
    verify: noted => verifyChain(rowsOf(inOrder.iterate()), noted ? [head(), noted] : [head()]),
  }
}

function* rowsOf(rows: Iterable<Record<string, unknown>>) {
  for (const row of rows) {
    yield {
      seq: Number(row['seq']),
      record: String(row['record']),
      previousHash: String(row['previous_hash']),
      hash: String(row['hash']),
    }
  }
}
