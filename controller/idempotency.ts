import { WeirError } from '../contract/errors.ts'
import { canonicalJson, sha256 } from '../lib/hash.ts'
import type { Clock } from '../lib/clock.ts'
import type { Store } from './store.ts'

const KEPT_MS = 24 * 3_600_000

export interface IdempotentRequest {
  /** The Idempotency-Key header; without one the work is simply done. */
  readonly key: string | undefined
  readonly method: string
  readonly path: string
  readonly body: unknown
}

/** Does a keyed request once: a repetition within a day gets the first answer again, another request with its key a 409. */
export function createIdempotency({ db }: Store, clock: Clock) {
  const select = db.prepare('SELECT request, answer FROM idempotency WHERE key = ?')
  const insert = db.prepare(
    'INSERT OR IGNORE INTO idempotency (key, request, status, answer, created_at) VALUES (?, ?, 200, ?, ?)',
  )
  const forget = db.prepare('DELETE FROM idempotency WHERE created_at < ?')
  const underWay = new Map<string, Promise<unknown>>()

  async function first<Answer>(key: string, request: string, work: () => Promise<Answer>): Promise<Answer> {
    const answer = await work()
    forget.run(clock.now() - KEPT_MS)
    insert.run(key, request, JSON.stringify(answer), clock.now())
    return answer
  }

  return async <Answer>(
    { key, method, path, body }: IdempotentRequest,
    work: () => Promise<Answer>,
  ): Promise<Answer> => {
    if (key === undefined) return work()
    const request = sha256(canonicalJson({ method, path, body: body ?? null }))
    const scoped = `${key}:${request}`
    const known = select.get(key) as { request: string; answer: string } | undefined
    if (known && known.request !== request)
      throw new WeirError('conflict', 'this Idempotency-Key was used for another request')
    if (known) return JSON.parse(known.answer) as Answer
    const running = underWay.get(scoped) ?? first(key, request, work).finally(() => underWay.delete(scoped))
    underWay.set(scoped, running)
    return running as Promise<Answer>
  }
}
