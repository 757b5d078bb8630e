import { sha256 } from '../lib/hash.ts'

/** A record as it lies in the store, with what ties it to the one before. */
export interface ChainedRow {
  /** 1 for the first, without gaps. */
  readonly seq: number
  /** Canonical JSON. */
  readonly record: string
  readonly previousHash: string
  readonly hash: string
}

/** Which record came last, as it was noted apart from the records themselves. */
export interface ChainHead {
  readonly seq: number
  readonly hash: string
}

export interface BadRecord {
  readonly seq: number
  readonly problem: 'changed' | 'missing' | 'out-of-place'
  /** One sentence for the operator. */
  readonly message: string
}

export interface Verification {
  /** Records that were found sound, from the first on. */
  readonly records: number
  /** The last sound record. Noted elsewhere, it proves later that nothing up to it was rewritten. */
  readonly head: ChainHead
  /** The first that is not sound; null when all are. */
  readonly firstBad: BadRecord | null
}

/** What the first record follows. */
export const EMPTY_CHAIN: ChainHead = { seq: 0, hash: '0'.repeat(64) }

export function hashOfRecord(previousHash: string, seq: number, record: string): string {
  return sha256(previousHash, String(seq), record)
}

/**
 * Goes through the rows in their order. Each `expected` head must be part of the chain: the one noted in the store, which
 * shows when the newest records were cut off, and those that operators kept elsewhere, which show when all was rewritten.
 */
export function verifyChain(rows: Iterable<ChainedRow>, expected: readonly ChainHead[]): Verification {
  let head = EMPTY_CHAIN
  for (const row of rows) {
    const bad = problemOf(row, head) ?? contradiction(row, expected)
    if (bad) return { records: head.seq, head, firstBad: bad }
    head = { seq: row.seq, hash: row.hash }
  }
  return { records: head.seq, head, firstBad: cutOff(head, expected) }
}

function problemOf(row: ChainedRow, last: ChainHead): BadRecord | null {
  const seq = last.seq + 1
  if (row.seq !== seq) {
    return { seq, problem: 'missing', message: `record ${seq} is missing: ${row.seq} follows ${last.seq}` }
  }
  if (row.hash !== hashOfRecord(row.previousHash, seq, row.record)) {
    return { seq, problem: 'changed', message: `record ${seq} is not what was written: its hash differs` }
  }
  if (row.previousHash !== last.hash) {
    const message = `record ${seq} is not the one that followed record ${last.seq}: records were moved, removed or replaced`
    return { seq, problem: 'out-of-place', message }
  }
  return null
}

function contradiction({ seq, hash }: ChainedRow, expected: readonly ChainHead[]): BadRecord | null {
  if (expected.every(head => head.seq !== seq || head.hash === hash)) return null
  return {
    seq,
    problem: 'changed',
    message: `record ${seq} is not what was noted: it, or one before it, was rewritten`,
  }
}

function cutOff(last: ChainHead, expected: readonly ChainHead[]): BadRecord | null {
  const newest = Math.max(0, ...expected.map(head => head.seq))
  if (newest <= last.seq) return null
  const seq = last.seq + 1
  return { seq, problem: 'missing', message: `record ${seq} is missing: there were at least ${newest}` }
}
