import type { Dispatcher } from 'undici'
import type { FailureReason } from '../../contract/policy.ts'
import type { RequestBody } from './body.ts'
import { answerHeaders, type AnswerHeaders } from './headers.ts'
import type { Target } from './target.ts'
import type { Limited, TimeLimits } from './time-limits.ts'

export interface AttemptRequest {
  readonly method: string
  readonly path: string
  readonly headers: string[]
  readonly body: RequestBody
  /** Counted from when the client has sent everything: its slowness is not the variant's. */
  readonly timeoutMs: number
  readonly timeLimits: TimeLimits
}

/** What became of an attempt, told in this order: head, data …, then end or failure; nothing after `abort`. */
export interface AttemptListener {
  onHead(attempt: Attempt, head: AnswerHead): void
  onData(attempt: Attempt, chunk: Buffer): void
  onEnd(attempt: Attempt): void
  onFailure(attempt: Attempt, failure: AttemptFailure): void
}

export interface AnswerHead {
  readonly status: number
  readonly statusText: string
  readonly headers: AnswerHeaders
}

export interface AttemptFailure {
  readonly reason: FailureReason
  /** Not a byte of the request can have been acted upon. */
  readonly unsent: boolean
  /** The connection had served before and closed before a byte of the answer came: likely the reuse race. */
  readonly reusedConnection: boolean
}

/**
 * One request to one endpoint: the single way in which split, sticky, override, retry, fallback, hedge and mirror reach a
 * variant. Releases the target exactly once.
 */
export class Attempt implements Dispatcher.DispatchHandler, Limited {
  dueAt = Infinity
  readonly target: Target
  readonly startedAt: number
  /** A head has come; from now on only silence between chunks times out. */
  streaming = false
  readonly #request: AttemptRequest
  readonly #listener: AttemptListener
  #controller: Dispatcher.DispatchController | undefined
  #headSeen = false
  #sent = false
  #over = false
  /** Bytes read of an answer that does not matter; below 0 it does. */
  #discarding = -1

  constructor(target: Target, request: AttemptRequest, listener: AttemptListener) {
    this.target = target
    this.#request = request
    this.#listener = listener
    this.startedAt = performance.now()
    target.inFlight++
    request.timeLimits.watch(this)
  }

  start(): this {
    const { method, path, headers, body } = this.#request
    body.whenComplete(() => this.#armTimer())
    const options = { method, path, headers, body: body.open(), idempotent: false, blocking: false }
    this.target.pool().dispatch(options, this)
    return this
  }

  /** Seconds since the start. */
  get seconds(): number {
    return (performance.now() - this.startedAt) / 1000
  }

  /** Gives up without a word to the listener. */
  abort(): void {
    if (this.#over) return
    this.#finish()
    this.#controller?.abort(GIVEN_UP)
  }

  /** The rest of the answer does not matter: a short one is read so that the connection can go on being used. */
  discard(): void {
    if (this.#over) return
    this.#over = true
    this.target.released()
    this.#discarding = 0
  }

  pause(): void {
    this.#controller?.pause()
    this.dueAt = Infinity
  }

  resume(): void {
    this.#controller?.resume()
    if (!this.#over) this.#armTimer()
  }

  timeOut(): void {
    const controller = this.#controller
    if (this.#over) {
      this.#request.timeLimits.forget(this)
      return controller?.abort(GIVEN_UP) // what was discarded never ended
    }
    this.#fail({ reason: 'timeout', unsent: controller === undefined, reusedConnection: false })
    controller?.abort(GIVEN_UP)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    this.#sent = true
    if (this.#over) controller.abort(GIVEN_UP)
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    _: unknown,
    statusText = '',
  ): void {
    if (status < 200 || this.#over) return // 1xx is meant for this connection
    this.#headSeen = true
    const raw = controller.rawHeaders as Buffer[] // the one form that undici's HTTP/1 client gives
    this.#listener.onHead(this, { status, statusText, headers: answerHeaders(raw) })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#discarding >= 0) {
      this.#discarding += chunk.length
      if (this.#discarding > MAX_DISCARDED_BYTES) controller.abort(GIVEN_UP)
      return
    }
    if (this.#over) return
    if (this.streaming) this.#armTimer()
    this.#listener.onData(this, chunk)
  }

  onResponseEnd(): void {
    if (this.#over) return this.#request.timeLimits.forget(this)
    this.#finish()
    this.#listener.onEnd(this)
  }

  onResponseError(_: unknown, error: Error): void {
    if (this.#over) return this.#request.timeLimits.forget(this)
    this.#fail(this.#failureOf(error))
  }

  #failureOf(error: Error & { code?: string; socket?: { bytesRead?: number } }): AttemptFailure {
    const reason = reasonOf(error) ?? (this.#sent ? 'reset' : 'connect')
    const reusedConnection = reason === 'reset' && !this.#headSeen && (error.socket?.bytesRead ?? 0) > 0
    return { reason, unsent: !this.#sent, reusedConnection }
  }

  #armTimer(): void {
    if (this.#over) return
    this.dueAt = performance.now() + this.#request.timeoutMs
  }

  #fail(failure: AttemptFailure): void {
    this.#finish()
    this.#listener.onFailure(this, failure)
  }

  #finish(): void {
    this.#over = true
    this.#request.timeLimits.forget(this)
    this.target.released()
  }
}

const GIVEN_UP = new Error('given up')
const MAX_DISCARDED_BYTES = 64 * 1024

function reasonOf({ name, code = '' }: Error & { code?: string }): FailureReason | undefined {
  return name === 'HTTPParserError' ? 'invalid' : REASONS[code]
}

const REASONS: Readonly<Record<string, FailureReason>> = {
  ECONNREFUSED: 'connect',
  EHOSTUNREACH: 'connect',
  ENETUNREACH: 'connect',
  ENOTFOUND: 'connect',
  EAI_AGAIN: 'connect',
  EMFILE: 'connect',
  UND_ERR_CONNECT_TIMEOUT: 'connect',
  UND_ERR_HEADERS_OVERFLOW: 'invalid',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'reset',
  UND_ERR_HEADERS_TIMEOUT: 'timeout',
  UND_ERR_BODY_TIMEOUT: 'timeout',
  UND_ERR_INVALID_ARG: 'invalid',
}
