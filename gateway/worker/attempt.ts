import type { RawHead } from '../upstream/answer-head.ts'
import type { AnswerHandler, Call, CallFailure } from '../upstream/connection.ts'
import type { RequestBody } from './body.ts'
import { answerHeaders, type AnswerHeaders } from './headers.ts'
import type { Target } from './target.ts'
import type { Limited, TimeLimits } from './time-limits.ts'

export interface AttemptRequest {
  readonly method: string
  readonly path: string
  readonly headers: readonly string[]
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
  onFailure(attempt: Attempt, failure: CallFailure): void
}

export interface AnswerHead {
  readonly status: number
  readonly statusText: string
  readonly headers: AnswerHeaders
}

/**
 * One request to one endpoint: the single way in which split, sticky, override, retry, fallback, hedge and mirror reach a
 * variant. Releases the target exactly once.
 */
export class Attempt implements AnswerHandler, Limited {
  dueAt = Infinity
  place = -1
  readonly target: Target
  readonly startedAt: number
  /** A head has come; from now on only silence between chunks times out. */
  streaming = false
  readonly #request: AttemptRequest
  readonly #listener: AttemptListener
  /** Gone once the connection serves somebody else. */
  #call: Call | undefined
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
    this.#request.body.whenComplete(() => this.#armTimer())
    this.#call = this.target.connections().send(this.#request, this)
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
    this.#hangUp()
  }

  /** The rest of the answer does not matter: a short one is read so that the connection can go on being used. */
  discard(): void {
    if (this.#over) return
    this.#over = true
    this.target.released()
    this.#discarding = 0
  }

  pause(): void {
    if (this.#over) return
    this.#call?.pause()
    this.dueAt = Infinity
  }

  resume(): void {
    if (this.#over) return
    this.#call?.resume()
    this.#armTimer()
  }

  timeOut(): void {
    if (this.#over) {
      this.#request.timeLimits.forget(this)
      return this.#hangUp() // what was discarded never ended
    }
    const unsent = this.#call?.sent !== true
    this.#hangUp()
    this.#fail({ reason: 'timeout', unsent, reusedConnection: false })
  }

  onHead({ status, statusText, headers }: RawHead): void {
    if (!this.#over) this.#listener.onHead(this, { status, statusText, headers: answerHeaders(headers) })
  }

  onData(chunk: Buffer): void {
    if (this.#discarding >= 0) {
      this.#discarding += chunk.length
      if (this.#discarding > MAX_DISCARDED_BYTES) this.#hangUp()
      return
    }
    if (this.#over) return
    if (this.streaming) this.#armTimer()
    this.#listener.onData(this, chunk)
  }

  onEnd(): void {
    this.#call = undefined
    if (this.#over) return this.#request.timeLimits.forget(this)
    this.#finish()
    this.#listener.onEnd(this)
  }

  onFailure(failure: CallFailure): void {
    this.#call = undefined
    if (this.#over) return this.#request.timeLimits.forget(this)
    this.#fail(failure)
  }

  /** An endpoint that stops reading in mid-upload stops the client, too: then nothing else would end the attempt. */
  onStalled(stalled: boolean): void {
    if (stalled) this.#armTimer()
    else if (!this.#request.body.complete) this.dueAt = Infinity
  }

  #armTimer(): void {
    if (this.#over) return
    this.dueAt = performance.now() + this.#request.timeoutMs
  }

  #fail(failure: CallFailure): void {
    this.#finish()
    this.#listener.onFailure(this, failure)
  }

  #finish(): void {
    this.#over = true
    this.#request.timeLimits.forget(this)
    this.target.released()
  }

  #hangUp(): void {
    this.#call?.abort()
    this.#call = undefined
  }
}

const MAX_DISCARDED_BYTES = 64 * 1024
