import type { AttemptKind, Outcome } from '../../contract/metrics.ts'
import { Answer, type AnswerOwner } from './answer.ts'
import { Attempt } from './attempt.ts'
import type { RequestBody } from './body.ts'
import type { Variant } from './policy.ts'
import type { RequestTrace } from './request-trace.ts'
import { pickDesperately, pickTarget, type Target } from './target.ts'
import type { TimeLimits } from './time-limits.ts'

export interface AttemptsOptions {
  readonly owner: AnswerOwner
  readonly method: string
  readonly path: string
  /** For the upstream, ours added. */
  readonly headers: readonly string[]
  readonly body: RequestBody
  /** Of one attempt and of all. */
  readonly timeoutMs: number
  readonly deadlineMs: number
  readonly timeLimits: TimeLimits
  readonly trace: RequestTrace | undefined
}

/** The attempts of one request, one after another or side by side: which are under way and where they went. */
export class Attempts {
  readonly #o: AttemptsOptions
  #active: Answer[] = []
  readonly #tried: Target[] = []

  #deadlineAt = Infinity

  constructor(options: AttemptsOptions) {
    this.#o = options
  }

  /** The body has been gathered: from now on the time counts. */
  start(): void {
    this.#deadlineAt = performance.now() + this.#o.deadlineMs
  }

  get underWay(): number {
    return this.#active.length
  }

  /** Until the deadline of all attempts together. */
  get remainingMs(): number {
    return this.#deadlineAt - performance.now()
  }

  othersThan(answer: Answer): number {
    return this.#active.length - (this.#active.includes(answer) ? 1 : 0)
  }

  /** Another endpoint of the variant takes requests and has not been tried. */
  hasOtherEndpoint({ targets }: Variant): boolean {
    return pickTarget(targets, this.#tried) !== undefined
  }

  /** Asks a variant, once its limits let us. */
  begin(variant: Variant, kind: AttemptKind): void {
    const answer = new Answer(this.#o.owner, variant, kind)
    answer.trace = this.#o.trace?.attempt(variant.name, kind)
    this.#active.push(answer)
    const dispatch = () => {
      answer.withdraw?.()
      this.#dispatch(answer)
    }
    const admission = variant.limiter.enter(dispatch)
    if (admission === 'admitted') return this.#dispatch(answer)
    const refuse = () => answer.failed({ reason: 'overload', unsent: true, reusedConnection: false })
    if (admission === 'refused') return refuse()
    const patience = setTimeout(() => {
      if (variant.limiter.withdraw(dispatch)) refuse()
    }, this.#attemptMs())
    answer.withdraw = () => {
      clearTimeout(patience)
      variant.limiter.withdraw(dispatch)
    }
  }

  /** The same again: the connection was closing as we used it, which is nobody's failure. */
  repeat(answer: Answer): void {
    this.record(answer, 'dropped', 'reuse')
    this.#tried.length = 0
    this.begin(answer.variant, answer.kind)
  }

  /** Counts what became of an attempt; it is no longer under way. */
  record(answer: Answer, outcome: Outcome, reason: string): void {
    if (!this.#active.includes(answer)) return
    this.#active = this.#active.filter(other => other !== answer)
    answer.record(outcome, reason)
  }

  /** Gives up whatever is under way, but for one. */
  dropAll(except?: Answer): void {
    for (const answer of this.#active) if (answer !== except) this.#drop(answer)
  }

  /**
   * A hedge answered first. The variant that was chosen goes on unheard, so that its slowness or failure counts as if nobody
   * had stepped in: an attempt given up would say nothing, and a variant that hangs would look well.
   */
  outrun(winner: Answer): void {
    for (const answer of this.#active) {
      if (answer === winner) continue
      // without all of the request it could only time out, and that would be our doing
      if (answer.attempt === undefined || !this.#o.body.complete) this.#drop(answer)
      else answer.leaveTo(this.#unheard)
    }
  }

  readonly #unheard: AnswerOwner = {
    recover: () => false,
    mustHold: () => false,
    claim: () => undefined,
    write: () => undefined,
    end: answer => this.settle(answer),
    deliver: answer => this.settle(answer),
    fail: (answer, { reason }) => this.record(answer, 'failure', reason),
  }

  /** Counts an attempt by its complete answer. */
  settle(answer: Answer): void {
    if (answer.failure !== undefined) return this.record(answer, 'failure', answer.failure)
    this.record(answer, (answer.head?.status ?? 0) >= 400 ? 'client_error' : 'success', '')
  }

  #dispatch(answer: Answer): void {
    const { targets, limiter } = answer.variant
    const target = pickTarget(targets, this.#tried) ?? pickDesperately(targets, this.#tried)
    if (target === undefined) {
      limiter.release()
      return answer.failed({ reason: 'connect', unsent: true, reusedConnection: false })
    }
    this.#tried.push(target)
    const { method, path, body, timeLimits } = this.#o
    const headers = answer.trace?.sentTo(target.endpoint, this.#o.headers) ?? this.#o.headers
    const timeoutMs = this.#attemptMs()
    answer.attempt = new Attempt(target, { method, path, headers, body, timeoutMs, timeLimits }, answer)
    answer.attempt.start()
  }

  #drop(answer: Answer): void {
    answer.withdraw?.()
    answer.attempt?.abort()
    this.record(answer, 'dropped', '')
  }

  #attemptMs(): number {
    return Math.max(1, Math.min(this.#o.timeoutMs, this.remainingMs))
  }
}
