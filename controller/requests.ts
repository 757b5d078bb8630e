import type { FastifyRequest } from 'fastify'
import type { IdempotentRequest } from './idempotency.ts'

// What every request to the API may carry beside its body.

/** The request as its Idempotency-Key tells it from others. */
export function keyed(request: FastifyRequest): IdempotentRequest {
  const key = request.headers['idempotency-key']
  return {
    key: typeof key === 'string' ? key : undefined,
    method: request.method,
    path: request.url,
    body: request.body,
  }
}

/** Who asks, as the audit keeps it: never what the controller calls itself there. */
export function actorOf(request: FastifyRequest): string {
  const actor = request.headers['x-weir-actor']
  if (typeof actor !== 'string' || actor.trim() === '') return 'operator'
  const name = fromUtf8(actor).trim().slice(0, 100)
  return name.toLowerCase() === 'controller' ? `operator "${name}"` : name
}

/** Headers are read as Latin-1, and names are sent as UTF-8; what is none is left as it was read. */
function fromUtf8(header: string): string {
  const text = Buffer.from(header, 'latin1').toString('utf8')
  return text.includes('\uFFFD') ? header : text
}
