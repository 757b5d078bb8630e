import { METHODS } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { WeirError } from '../../contract/errors.ts'
import { createHttpServer } from '../../lib/http-server.ts'
import type { Log } from '../../lib/log.ts'
import type { Readiness } from '../messages.ts'
import { shareOf } from './limits.ts'
import { addFeedback, type FeedbackOptions } from './feedback.ts'
import type { Forwarder } from './forward.ts'

export interface ListenerOptions {
  readonly log: Log
  readonly forwarder: Forwarder
  readonly feedback: FeedbackOptions
  readonly readiness: () => Readiness
  /** 0: the main listener; otherwise the port that routes name. */
  readonly port: number
  readonly workers: number
}

/** For a whole upload; slower ones are cut off. */
const REQUEST_TIMEOUT_MS = 30_000
const HEADERS_TIMEOUT_MS = 10_000
/** Of the whole gateway, for each of its listeners. */
const MAX_CONNECTIONS = 10_000

/** A public listener: what the gateway owns itself, and everything else on its way to a variant. */
export function createListener(options: ListenerOptions): FastifyInstance {
  const { log, forwarder, feedback, readiness, port, workers } = options
  const app = createHttpServer({
    log,
    bodyLimitBytes: 1024 * 1024, // for /feedback; what is forwarded has its route's own limit
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    headersTimeoutMs: HEADERS_TIMEOUT_MS,
    requireHostHeader: false,
    serveWhileClosing: true,
    requestLog: false,
  })
  app.server.maxConnections = shareOf(MAX_CONNECTIONS, workers)
  app.get('/livez', async () => ({ status: 'ok' }))
  app.get('/readyz', async (_, reply) => {
    const { ready, reasons } = readiness()
    if (!ready) throw new WeirError('not_ready', reasons.join('; '), { retryAfterSeconds: 1 })
    return reply.send({ status: 'ready' })
  })
  addFeedback(app, feedback)
  addForwarding(app, forwarder, port)
  return app
}

/** In the first hook, before Fastify would read the body: bytes pass through untouched. */
function addForwarding(app: FastifyInstance, forwarder: Forwarder, port: number): void {
  for (const method of METHODS)
    if (!app.supportedMethods.includes(method) && method !== 'CONNECT')
      app.addHttpMethod(method, { hasBody: true })
  app.all('/*', {
    onRequest: (request, reply) => {
      if (PRIVATE_PATHS.has(request.url.split('?')[0] ?? '')) return reply.callNotFound()
      reply.hijack()
      forwarder.forward({
        request: request.raw,
        response: reply.raw,
        port,
        requestId: request.id,
      })
    },
    handler: () => undefined,
  })
}

/** On the operator's port only. */
const PRIVATE_PATHS: ReadonlySet<string> = new Set(['/metrics', '/docs'])
