import type { AttemptKind, Outcome } from '../../contract/metrics.ts'
import type { FailureReason } from '../../contract/policy.ts'
import type { CallFailure } from '../upstream/connection.ts'
import type { AnswerHead, Attempt, AttemptListener } from './attempt.ts'
import type { Variant } from './policy.ts'
import type { AttemptTrace } from './request-trace.ts'

/** An answer is held up to this length; a longer one streams from there on and can no longer be replaced. */
const HELD_ANSWER_BYTES = 64 * 1024

/** What an answer asks of, and tells, the request it belongs to. */
export interface AnswerOwner {
  /** The attempt failed and nothing has reached the client: true when something else goes on, so that this one is forgotten. */
  recover(answer: Answer, failure: CallFailure): boolean
  /** Whether the answer must be complete before a byte of it reaches the client. */
  mustHold(answer: Answer): boolean
  /** The answer goes to the client as it comes; `tooLong`: it could not be held any longer. */
  claim(answer: Answer, tooLong: boolean): void
  write(answer: Answer, chunk: Buffer): void
  end(answer: Answer): void
  /** A held answer is complete. */
  deliver(answer: Answer): void
  fail(answer: Answer, failure: CallFailure): void
}

/** One variant's answer to a request: held until it is complete, or streamed to the client. */
export class Answer implements AttemptListener {
  readonly variant: Variant
  readonly kind: AttemptKind
  attempt: Attempt | undefined
  trace: AttemptTrace | undefined
  head: AnswerHead | undefined
  /** Its status alone makes it a failure of the variant. */
  failure: FailureReason | undefined
  /** What came while it was held. */
  readonly chunks: Buffer[] = []
  claimed = false
  /** Leaves the queue of the variant, while it waits there. */
  withdraw: (() => void) | undefined
  #owner: AnswerOwner
  #heldBytes = 0

  constructor(owner: AnswerOwner, variant: Variant, kind: AttemptKind) {
    this.#owner = owner
    this.variant = variant
    this.kind = kind
  }

  get succeeded(): boolean {
    const status = this.head?.status ?? 0
    return status >= 200 && status < 300
  }

  /** What was held of it, in one piece. */
  get payload(): Buffer {
    const [only] = this.chunks
    return this.chunks.length === 1 && only ? only : Buffer.concat(this.chunks)
  }

  get seconds(): number {
    return this.attempt?.seconds ?? 0
  }

  onHead(attempt: Attempt, head: AnswerHead): void {
    this.head = head
    this.failure = failureOf(head.status)
    if (this.failure !== undefined) {
      const failure = { reason: this.failure, unsent: false, reusedConnection: false }
      if (this.#owner.recover(this, failure)) return attempt.discard()
    }
    if (!this.#owner.mustHold(this)) this.#claim(false)
  }

  onData(_: Attempt, chunk: Buffer): void {
    if (this.claimed) return this.#owner.write(this, chunk)
    this.chunks.push(chunk)
    this.#heldBytes += chunk.length
    if (this.#heldBytes > HELD_ANSWER_BYTES) this.#claim(true)
  }

  onEnd(): void {
    if (this.claimed) this.#owner.end(this)
    else this.#owner.deliver(this)
  }

  onFailure(_: Attempt, failure: CallFailure): void {
    this.failed(failure)
  }

  failed(failure: CallFailure): void {
    if (this.claimed || !this.#owner.recover(this, failure)) this.#owner.fail(this, failure)
  }

  /** From now on somebody else is told what becomes of it. */
  leaveTo(owner: AnswerOwner): void {
    this.#owner = owner
  }

  /** Counts what became of it and gives back what it held. */
  record(outcome: Outcome, reason: string): void {
    const { variant, kind, attempt } = this
    variant.counts.attempt(kind, outcome, reason)
    this.trace?.end(outcome, reason, this.head?.status)
    if (kind === 'split' && outcome !== 'dropped') variant.counts.duration.observe(this.seconds)
    if (attempt === undefined) return
    variant.limiter.release()
    if (outcome === 'failure') attempt.target.failed()
    else if (outcome !== 'dropped') attempt.target.succeeded()
  }

  #claim(tooLong: boolean): void {
    this.claimed = true
    if (this.attempt) this.attempt.streaming = true
    this.#owner.claim(this, tooLong)
    for (const chunk of this.chunks.splice(0)) this.#owner.write(this, chunk)
  }
}

function failureOf(status: number): FailureReason | undefined {
  return status === 503 ? 'overload' : status >= 500 ? '5xx' : undefined
}
