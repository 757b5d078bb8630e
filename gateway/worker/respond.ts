import type { ServerResponse } from 'node:http'
import { WeirError, type ErrorCode } from '../../contract/errors.ts'
import type { FailureReason } from '../../contract/policy.ts'
import { errorBody } from '../../lib/errors.ts'
import type { AnswerHead } from './attempt.ts'

/** What the gateway says about an answer in its headers. */
export interface AnswerMarks {
  readonly requestId: string
  /** Who answered. */
  readonly variant: string
  readonly modelVersion: string | undefined
  /** Who was chosen, when another answered. */
  readonly fallback: string | undefined
  readonly setCookie: string | undefined
  /** What the operator has to say to clients. */
  readonly notice: string | undefined
  /** The client is to open a new connection for its next request. */
  readonly close: boolean
}

/** Writes an upstream's head to the client with our marks; `contentLength` undefined: the length is not known beforehand. */
export function sendAnswerHead(
  response: ServerResponse,
  { status, statusText, headers }: AnswerHead,
  contentLength: number | undefined,
  marks: AnswerMarks,
): void {
  const list = headers.list
  list.push('x-request-id', marks.requestId, 'x-weir-variant', marks.variant)
  if (marks.modelVersion !== undefined) list.push('x-weir-model-version', marks.modelVersion)
  if (marks.fallback !== undefined) list.push('x-weir-fallback', marks.fallback)
  if (marks.setCookie !== undefined) list.push('set-cookie', marks.setCookie)
  if (marks.notice !== undefined) list.push('x-weir-notice', marks.notice)
  if (marks.close) list.push('connection', 'close')
  if (contentLength !== undefined && status !== 204) list.push('content-length', String(contentLength))
  if (statusText === '') response.writeHead(status, list)
  else response.writeHead(status, statusText, list)
}

interface SendErrorOptions {
  /** Nothing more is read from this connection. */
  readonly close?: boolean
}

/** Answers an error of our own, unless the client is gone or an answer has begun. */
export function sendError(
  response: ServerResponse,
  error: WeirError,
  requestId: string,
  { close = false }: SendErrorOptions = {},
): void {
  if (response.headersSent || response.destroyed) return
  if (close) response.shouldKeepAlive = false
  const { headers, body } = toAnswer(error, requestId)
  response.writeHead(error.statusCode, headers)
  response.end(body)
}

function toAnswer(error: WeirError, requestId: string): { headers: string[]; body: Buffer } {
  const body = Buffer.from(JSON.stringify(errorBody(error.code, error.message, { requestId })))
  const headers = ['content-type', 'application/json; charset=utf-8', 'x-request-id', requestId]
  headers.push('content-length', String(body.length))
  if (error.retryAfterSeconds !== undefined) headers.push('retry-after', String(error.retryAfterSeconds))
  return { headers, body }
}

/** How much of a body that nobody wants is still read, and for how long, so that the client gets to read our answer. */
const MAX_DRAINED_BYTES = 64 * 1024 ** 2
const MAX_DRAIN_MS = 5000

/**
 * Answers an error while the client is still sending. Closing at once would reset the connection, and the client's system would
 * throw our answer away unread; so the answer goes out, what still comes is read for a while, and then the connection closes.
 */
export function sendErrorAndDrain(
  response: ServerResponse,
  error: WeirError,
  requestId: string,
): number | undefined {
  if (response.headersSent || response.destroyed) return undefined
  const { headers, body } = toAnswer(error, requestId)
  response.writeHead(error.statusCode, [...headers, 'connection', 'close'])
  response.write(body)
  drain(response)
}

function drain(response: ServerResponse): void {
  const request = response.req
  let drained = 0
  const finish = () => {
    clearTimeout(timer)
    response.end()
  }
  const timer = setTimeout(finish, MAX_DRAIN_MS)
  request.on('data', (chunk: Buffer) => {
    drained += chunk.length
    if (drained > MAX_DRAINED_BYTES) finish()
  })
  request.once('end', finish)
  response.once('close', () => clearTimeout(timer))
  request.resume()
}

/** What the client hears when no variant could answer. */
export function failureError(reason: FailureReason): WeirError {
  const [code, message] = FAILURES[reason]
  return new WeirError(code, message, reason === 'overload' ? { retryAfterSeconds: 1 } : {})
}

const FAILURES: Readonly<Record<FailureReason, readonly [ErrorCode, string]>> = {
  connect: ['bad_gateway', 'the model server cannot be reached'],
  reset: ['bad_gateway', 'the model server closed the connection before its answer was complete'],
  timeout: ['gateway_timeout', 'the model server did not answer in time'],
  overload: ['overloaded', 'too many requests in flight; try again shortly'],
  '5xx': ['bad_gateway', 'the model server failed'],
  invalid: ['bad_gateway', 'the answer of the model server is not what the route promises'],
}
