import type { FastifyInstance, FastifyReply } from 'fastify'
import { WeirError } from '../contract/errors.ts'
import type { Audit } from './audit.ts'
import { rolloutView } from './rollouts/rollout-view.ts'
import { createRolloutStore } from './rollouts/rollout-store.ts'
import type { Store } from './store.ts'

interface EventOptions {
  readonly store: Store
  readonly audit: Audit
}

const MAX_LISTENERS = 100
/** A listener that is so far behind is let go; its client comes back and says which record it had last. */
const MAX_WAITING_BYTES = 1024 * 1024
const MAX_MISSED = 1000
const COMMENT_EVERY_MS = 15_000

/**
 * `GET /v1/events`, server-sent events: `audit` for each record, with its number as the event's id, so that a client that comes
 * back with Last-Event-ID misses none of the last 1,000; `rollout` with the state of each route's newest rollout, at first and
 * whenever it has changed.
 */
export function addEvents(app: FastifyInstance, { store, audit }: EventOptions): void {
  const { latest } = createRolloutStore(store)
  const newest = () => audit.list({ limit: 1 })[0]?.seq ?? 0
  const listeners = new Set<FastifyReply>()

  function send(reply: FastifyReply, text: string): void {
    if (reply.raw.writableLength > MAX_WAITING_BYTES) reply.raw.destroy()
    else reply.raw.write(text)
  }

  function recordsBetween(after: number, last: number): string {
    const count = Math.min(MAX_MISSED, last - after)
    const records = count > 0 ? audit.list({ limit: count }).toReversed() : []
    return records.map(record => `id: ${record.seq}\n${eventOf('audit', record)}`).join('')
  }

  function listen(reply: FastifyReply, lastSeq: number): void {
    let seq = lastSeq
    const told = new Map<string, number>()
    const news = () => {
      const changed = latest().filter(({ name, changes }) => told.get(name) !== changes)
      for (const { name, changes } of changed) told.set(name, changes)
      const states = changed.map(rollout => eventOf('rollout', rolloutView(rollout))).join('')
      const last = newest()
      const text = recordsBetween(seq, last) + states
      seq = last
      if (text !== '') send(reply, text)
    }
    const forget = store.onCommit(news)
    const comments = setInterval(() => send(reply, ': still here\n\n'), COMMENT_EVERY_MS)
    listeners.add(reply)
    reply.raw.once('close', () => {
      forget()
      clearInterval(comments)
      listeners.delete(reply)
    })
    news()
  }

  app.get('/v1/events', async (request, reply) => {
    if (listeners.size >= MAX_LISTENERS)
      throw new WeirError('overloaded', `${MAX_LISTENERS} listen already`, { retryAfterSeconds: 5 })
    const last = Number(request.headers['last-event-id'] ?? newest())
    if (!Number.isInteger(last) || last < 0)
      throw new WeirError('bad_request', 'Last-Event-ID must be the id of an event that came before')
    reply.hijack()
    reply.raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-request-id': request.id,
    })
    reply.raw.flushHeaders() // nothing may come for long
    listen(reply, last)
  })
  app.addHook('preClose', async () => {
    for (const reply of listeners) reply.raw.end()
  })
}

function eventOf(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}
