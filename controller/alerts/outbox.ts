import { randomUUID } from 'node:crypto'
import type { Clock } from '../../lib/clock.ts'
import type { Store } from '../store.ts'

/** Where a message goes: an address, or a receiver of alerts by name, so that an address that is corrected is used. */
export type Target =
  | { readonly kind: 'url'; readonly url: string; readonly timeoutMs: number }
  | { readonly kind: 'receiver'; readonly name: string }

interface Sendable {
  /** A message whose key is known is not put in again. */
  readonly key: string
  /** Messages of one lane arrive one after the other, in their order. */
  readonly lane: string
  readonly target: Target
  readonly body: unknown
}

export interface Message extends Sendable {
  /** How long it is worth telling. */
  readonly keepTryingMs: number
}

export interface Question extends Sendable {
  /** Asked anew this long after each answer; without it until the answer is yes. */
  readonly repeatMs?: number
}

export interface Answer {
  readonly passed: boolean
  /** Why not; null while nobody answered, and after a yes. */
  readonly reason: string | null
  readonly answeredAt: number | null
  /** Askings that are settled: with an answer, or without one in time. */
  readonly attempts: number
}

export interface Delivery {
  readonly seq: number
  /** The same at every attempt: whoever got it before knows it again. */
  readonly id: string
  readonly key: string
  readonly lane: string
  readonly target: Target
  readonly body: string
  readonly attempts: number
  readonly repeatMs: number | null
  /** Null: a question, which is asked until it is answered or closed. */
  readonly giveUpAt: number | null
}

export type Outbox = ReturnType<typeof createOutbox>

/** More waiting in one lane than this: the oldest are given up. */
const MAX_WAITING_PER_LANE = 1000
const KEPT_MS = 30 * 24 * 3_600_000
const BACKOFF_MS = 1000
const LONGEST_BACKOFF_MS = { message: 300_000, question: 10_000 }

/**
 * What is to be told to others. `tell` and `ask` belong into the transaction that persists the decision: then it is told if and only
 * if it was taken, also by a controller that died in between. Delivered at least once; the id tells repetitions.
 */
export function createOutbox({ db }: Store, clock: Clock) {
  const insert = db.prepare(
    `INSERT OR IGNORE INTO outbox (id, key, lane, target, body, repeat_ms, created_at, give_up_at, next_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?7)`,
  )
  const dropOldest = db.prepare(
    `UPDATE outbox SET done_at = ?1, reason = 'too many were waiting' WHERE lane = ?2 AND done_at IS NULL AND seq <=
       (SELECT seq FROM outbox WHERE lane = ?2 AND done_at IS NULL ORDER BY seq DESC LIMIT 1 OFFSET ${MAX_WAITING_PER_LANE})`,
  )
  const forget = db.prepare('DELETE FROM outbox WHERE done_at < ?')
  const due = db.prepare(
    `SELECT seq, id, key, lane, target, body, attempts, repeat_ms, give_up_at FROM outbox AS waiting
     WHERE done_at IS NULL AND next_at <= ?1
       AND seq = (SELECT min(seq) FROM outbox WHERE lane = waiting.lane AND done_at IS NULL)
     ORDER BY next_at`,
  )
  const settle = db.prepare(
    `UPDATE outbox SET attempts = attempts + 1, passed = ?2, reason = ?3, answered_at = ?4, next_at = ?5, done_at = ?6
     WHERE seq = ?1 AND done_at IS NULL`,
  )
  const close = db.prepare(
    `UPDATE outbox SET done_at = ?1
     WHERE done_at IS NULL AND give_up_at IS NULL AND substr(key, 1, length(?2)) = ?2`,
  )
  const answers = db.prepare(
    `SELECT key, passed, reason, answered_at, attempts FROM outbox WHERE give_up_at IS NULL AND substr(key, 1, length(?1)) = ?1`,
  )

  function put(
    { key, lane, target, body }: Sendable,
    repeatMs: number | null,
    giveUpAt: number | null,
  ): void {
    const now = clock.now()
    insert.run(randomUUID(), key, lane, JSON.stringify(target), JSON.stringify(body), repeatMs, now, giveUpAt)
    dropOldest.run(now, lane)
    forget.run(now - KEPT_MS)
  }

  return {
    tell: (message: Message): void => put(message, null, clock.now() + message.keepTryingMs),
    ask: (question: Question): void => put(question, question.repeatMs ?? null, null),
    /** The questions whose keys begin so are asked no longer. */
    close: (keyPrefix: string): void => void close.run(clock.now(), keyPrefix),
    /** By key, of the questions whose keys begin so. */
    answers: (keyPrefix: string): ReadonlyMap<string, Answer> =>
      new Map(answers.all(keyPrefix).map(row => [String(row['key']), toAnswer(row)])),
    /** The first of every lane whose time has come. */
    due: (): Delivery[] => due.all(clock.now()).map(toDelivery),
    accepted({ seq, repeatMs }: Delivery): void {
      const now = clock.now()
      settle.run(seq, 1, null, now, now + (repeatMs ?? 0), repeatMs === null ? now : null)
    },
    /** Tells whether it is given up. */
    refused(delivery: Delivery, reason: string): boolean {
      const now = clock.now()
      const nextAt = now + waitMs(delivery)
      const givenUp = delivery.giveUpAt !== null && nextAt > delivery.giveUpAt
      settle.run(delivery.seq, 0, reason, now, nextAt, givenUp ? now : null)
      return givenUp
    },
  }
}

function waitMs({ repeatMs, giveUpAt, attempts }: Delivery): number {
  if (repeatMs !== null) return repeatMs
  const longest = LONGEST_BACKOFF_MS[giveUpAt === null ? 'question' : 'message']
  return Math.min(longest, BACKOFF_MS * 2 ** attempts)
}

function toAnswer(row: Record<string, unknown>): Answer {
  return {
    passed: row['passed'] === 1,
    reason: row['reason'] === null ? null : String(row['reason']),
    answeredAt: row['answered_at'] === null ? null : Number(row['answered_at']),
    attempts: Number(row['attempts']),
  }
}

function toDelivery(row: Record<string, unknown>): Delivery {
  return {
    seq: Number(row['seq']),
    id: String(row['id']),
    key: String(row['key']),
    lane: String(row['lane']),
    target: JSON.parse(String(row['target'])) as Target,
    body: String(row['body']),
    attempts: Number(row['attempts']),
    repeatMs: row['repeat_ms'] === null ? null : Number(row['repeat_ms']),
    giveUpAt: row['give_up_at'] === null ? null : Number(row['give_up_at']),
  }
}
