import { randomUUID } from 'node:crypto'
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import Fastify, {
  LogController,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import {
  hasZodFastifySchemaValidationErrors,
  serializerCompiler,
  validatorCompiler,
} from 'fastify-type-provider-zod'
import { errorBody } from './errors.ts'
import type { Log } from './log.ts'

export interface HttpServerOptions {
  readonly log: Log
  readonly bodyLimitBytes: number
  /** The whole request, headers and body, must arrive within this time (slowloris cut-off). */
  readonly requestTimeoutMs?: number
  readonly headersTimeoutMs?: number
  /** False: whoever uses this looks for a missing Host itself, since Node's own refusal has no body. */
  readonly requireHostHeader?: boolean
  /** True: a request on a connection that is still open while the server closes is served, and the connection then closed. */
  readonly serveWhileClosing?: boolean
  /** False: requests have no logger; it costs more than their routing. What fails is logged all the same. */
  readonly requestLog?: boolean
}

/**
 * A Fastify server with what every listener of ours needs: limits, request ids, and one error shape for everything that
 * goes wrong, also for what Node's parser rejects. zod schemas validate and serialise.
 */
export function createHttpServer(options: HttpServerOptions): FastifyInstance {
  const {
    log,
    bodyLimitBytes,
    requestTimeoutMs = 30_000,
    headersTimeoutMs = 10_000,
    requireHostHeader = true,
    serveWhileClosing = false,
    requestLog = true,
  } = options
  const handleError = (error: RequestError, request: FastifyRequest, reply: FastifyReply) =>
    answerError(error, request, reply, log)
  const app = Fastify({
    ...(requestLog && { loggerInstance: log }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyLimitBytes,
    return503OnClosing: !serveWhileClosing,
    requestTimeout: requestTimeoutMs,
    routerOptions: { maxParamLength: 500 },
    forceCloseConnections: 'idle',
    genReqId: request => headerValue(request.headers['x-request-id']) ?? randomUUID(),
    clientErrorHandler: answerUnparsable,
    // a path that is no URL never reaches the router, nor the error handler
    frameworkErrors: (error, request, reply) =>
      handleError(error, request, reply.header('x-request-id', request.id)),
    http: {
      headersTimeout: headersTimeoutMs,
      connectionsCheckingInterval: 1000,
      keepAliveTimeout: 65_000,
      requireHostHeader,
    },
  }) as unknown as FastifyInstance
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler(handleError)
  app.setNotFoundHandler(async (request, reply) =>
    reply.code(404).send(
      errorBody('not_found', `${request.method} ${pathOf(request)} is not served here`, {
        requestId: request.id,
      }),
    ),
  )
  app.server.on('checkExpectation', refuseExpectation)
  // Node would say 100 to everybody; a body that is going to be refused is better not sent
  app.server.on('checkContinue', (request, response) => app.server.emit('request', request, response))
  app.addHook('preParsing', async (request, reply) => inviteBody(request.raw, reply.raw))
  const connections = new Set<Socket>()
  app.server.on('connection', socket => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  })
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
    const sweep = setInterval(() => {
      app.server.closeIdleConnections()
      for (const socket of connections) if (socket.bytesRead === 0) socket.destroy() // Node takes them for busy
    }, 100)
    app.server.once('close', () => clearInterval(sweep))
  })
  app.addHook('onSend', async (request, reply) => {
    reply.header('x-request-id', request.id)
    // Closing waits for every connection, and one that was busy when it began would be kept alive by its client. This
    // tells the client; the sweep takes those whose answer was on its way already.
    if (closing) reply.header('connection', 'close')
  })
  return app
}

const FASTIFY_CODES: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'bad_request',
}

type RequestError = FastifyError & { details?: unknown; retryAfterSeconds?: number }

function answerError(error: RequestError, request: FastifyRequest, reply: FastifyReply, log: Log) {
  const requestId = request.id
  if (hasZodFastifySchemaValidationErrors(error)) {
    const message = error.validation
      .map(finding => `${finding.instancePath.slice(1).replaceAll('/', '.')} ${finding.message}`.trim())
      .join('; ')
    return reply.code(400).send(errorBody('bad_request', message, { requestId }))
  }
  const status = error.statusCode ?? 500
  if (error.retryAfterSeconds !== undefined) reply.header('retry-after', Math.ceil(error.retryAfterSeconds))
  const code =
    FASTIFY_CODES[error.code] ??
    (/^[a-z_]+$/.test(error.code ?? '') ? error.code : status >= 500 ? 'internal' : 'bad_request')
  // a failure with a code of its own (not ready, overloaded) is an answer, and comes by the thousand when it comes
  if (status >= 500) {
    log[code === 'internal' ? 'error' : 'debug']({ err: error, request_id: requestId }, 'request failed')
  }
  const message =
    code === 'internal' ? 'something went wrong here; the log of this process has the details' : error.message
  return reply.code(status).send(errorBody(code, message, { requestId, details: error.details }))
}

/**
 * Answers what is not HTTP, or over the header limit, or too slow, before there is a request to reply to. An answer that is on
 * its way to an earlier request on the connection goes first: bytes of ours in the midst of it would pass for its body.
 */
function answerUnparsable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable) return socket.destroy() as unknown as void // also what the client sends after our refusal
  const pending = answerUnderWay(socket)
  if (pending === undefined) return refuseConnection(error, socket)
  if (pending.req.complete) {
    pending.once('finish', () => refuseConnection(error, socket))
    return
  }
  // the trouble is in that very request's body, so its answer can still be this one unless another has begun
  if (pending.headersSent) return socket.destroy() as unknown as void
  const [status] = UNPARSABLE[error.code ?? ''] ?? BAD_REQUEST
  pending.statusCode = status // for whoever counts answers
  refuseConnection(error, socket)
}

function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable) return socket.destroy() as unknown as void
  const [status, code] = UNPARSABLE[error.code ?? ''] ?? BAD_REQUEST
  const body = JSON.stringify(errorBody(code, `the request could not be read (${error.code ?? 'unknown'})`))
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}

/** What a connection is answering. Node has no public name for it; its own default handler looks at the same field. */
function answerUnderWay(socket: Socket): ServerResponse | undefined {
  const { _httpMessage: pending } = socket as Socket & { _httpMessage?: ServerResponse | null }
  return pending ?? undefined
}

/** To be called before a body is read: a client that asked to be told (`Expect: 100-continue`) sends it now. */
export function inviteBody({ headers }: IncomingMessage, response: ServerResponse): void {
  if (headers.expect !== undefined) response.writeContinue() // any other expectation was refused before
}

/** RFC 9110 10.1.1: there is one expectation, 100-continue; it does not come here. */
function refuseExpectation({ headers }: IncomingMessage, response: ServerResponse): void {
  const message = `cannot meet the expectation "${String(headers.expect).slice(0, 100)}"`
  const body = JSON.stringify(errorBody('expectation_failed', message))
  const head = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  }
  response.writeHead(417, { ...head, connection: 'close' }).end(body) // a body may follow that nobody wants
}

const BAD_REQUEST = [400, 'bad_request'] as const
const UNPARSABLE: Readonly<Record<string, readonly [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'headers_too_large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'request_timeout'],
}

function headerValue(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' && /^[\w.:-]{1,128}$/.test(value) ? value : undefined
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?')[0] ?? request.url
}
