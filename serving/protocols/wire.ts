import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { WeirError } from '../../contract/errors.ts'
import type { WireAnswer } from '../inference-messages.ts'

/** The body as it came, for whatever content type: the thread that computes it reads it. */
export function bodyOf(request: FastifyRequest): Uint8Array {
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
}

export function sendAnswer(reply: FastifyReply, { contentType, headers, body }: WireAnswer): FastifyReply {
  return reply
    .headers(headers)
    .type(contentType)
    .send(typeof body === 'string' ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength))
}

/** `{"error": "…"}`, as both inference protocols say it. Everything in this scope answers so. */
export function answerProtocolErrors(scope: FastifyInstance): void {
  scope.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const status = error.statusCode ?? 500
    if (error instanceof WeirError && error.retryAfterSeconds !== undefined) {
      reply.header('retry-after', Math.ceil(error.retryAfterSeconds))
    }
    const known = error instanceof WeirError ? error.code !== 'internal' : status < 500
    if (!known) request.log.error({ err: error, request_id: request.id }, 'request failed')
    const message = known
      ? error.message
      : 'something went wrong here; the log of this process has the details'
    return reply.code(status).send({ error: message })
  })
  scope.setNotFoundHandler(async (request, reply) =>
    reply
      .code(404)
      .send({ error: `${request.method} ${request.url.split('?')[0] ?? ''} is not served here` }),
  )
}
