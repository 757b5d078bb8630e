import { WeirError } from '../contract/errors.ts'
import { canonicalJson, sha256 } from '../lib/hash.ts'
import type { Clock } from '../lib/clock.ts'
import type { Store } from './store.ts'

const KEPT_MS = 24 * 3_600_000
const MAX_KEY_LENGTH = 255

export interface IdempotentRequest {
  /** The Idempotency-Key header; without one the work is simply done. */
  readonly key: string | undefined
  readonly method: string
  readonly path: string
  readonly body: unknown
}

/** Looks up whatever the request needs, without any effect, and returns what does it: synchronous, so that it is one commit. */
export type Preparation<Answer> = () => Promise<() => Answer>

/**
 * Does a keyed request once: a repetition within a day gets the first answer again, another request with its key a 409, also
 * while the first is still under way. The answer is stored in the commit of the effect itself, so that a request whose answer
 * was lost in a crash is not done again. One that was refused had no effect and may be repeated.
 */
export function createIdempotency({ db, transaction }: Store, clock: Clock) {
  const select = db.prepare('SELECT request, answer FROM idempotency WHERE key = ?')
  const insert = db.prepare(
    'INSERT INTO idempotency (key, request, status, answer, created_at) VALUES (?, ?, 200, ?, ?)',
  )
  const forget = db.prepare('DELETE FROM idempotency WHERE created_at < ?')
  const underWay = new Map<string, { request: string; answer: Promise<unknown> }>()

  async function first<Answer>(key: string, request: string, prepare: Preparation<Answer>): Promise<Answer> {
    const act = await prepare()
    return transaction(() => {
      const answer = act()
      insert.run(key, request, JSON.stringify(answer), clock.now())
      return answer
    })
  }

  return async <Answer>(
    { key, method, path, body }: IdempotentRequest,
    prepare: Preparation<Answer>,
  ): Promise<Answer> => {
    if (key === undefined) return (await prepare())()
    if (key.length === 0 || key.length > MAX_KEY_LENGTH)
      throw new WeirError('bad_request', `Idempotency-Key must have 1 to ${MAX_KEY_LENGTH} characters`)
    const request = sha256(canonicalJson({ method, path, body: body ?? null }))
    forget.run(clock.now() - KEPT_MS)
    const known = select.get(key) as { request: string; answer: string } | undefined
    const running = underWay.get(key)
    if ((known ?? running ?? { request }).request !== request)
      throw new WeirError('conflict', 'this Idempotency-Key was used for another request')
    if (known) return JSON.parse(known.answer) as Answer
    if (running) return running.answer as Promise<Answer>
    const answer = first(key, request, prepare).finally(() => underWay.delete(key))
    underWay.set(key, { request, answer })
    return answer
  }
}
