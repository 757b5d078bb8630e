import type { IncomingMessage, ServerResponse } from 'node:http'
import type { WeirError } from '../../contract/errors.ts'
import type { AttemptKind, Outcome } from '../../contract/metrics.ts'
import type { PredictionIds } from '../prediction-id.ts'
import { Answer, type AnswerOwner } from './answer.ts'
import { Attempt, type AttemptFailure } from './attempt.ts'
import type { RequestBody } from './body.ts'
import { certify, type Certified } from './certify.ts'
import { createDelivery, type Delivery } from './delivery.ts'
import { decideRecovery, type Recovery } from './fallback.ts'
import { hedgeAfterMs } from './hedge.ts'
import type { Route, Variant } from './policy.ts'
import { failureError, sendError, type AnswerMarks } from './respond.ts'
import { isOpen, pickDesperately, pickTarget, type Target } from './target.ts'
import type { TimeLimits } from './time-limits.ts'

export interface ExchangeOptions {
  readonly route: Route
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly body: RequestBody
  readonly requestId: string
  readonly path: string
  /** For the upstream, ours added. */
  readonly headers: string[]
  readonly chosen: Variant
  readonly kind: 'split' | 'override'
  readonly underContract: boolean
  readonly setCookie: string | undefined
  readonly ids: PredictionIds
  readonly wallClock: () => number
  readonly timeLimits: TimeLimits
  readonly isDraining: () => boolean
  readonly onDone: (status: number, answeredBy: string | undefined) => void
}

/**
 * One request from the chosen variant to the answer: attempts, one after another or side by side, of which exactly one answers
 * the client. It holds its policy to the end, whatever is changed meanwhile.
 */
export class Exchange implements AnswerOwner {
  readonly #o: ExchangeOptions
  readonly #delivery: Delivery
  readonly #active = new Set<Answer>()
  readonly #tried: Target[] = []
  #deadlineAt = Infinity
  #retries = 0
  #reuseRaceTried = false
  #fallbackTried = false
  /** The variant that was chosen, when another answers for it. */
  #fellBackFrom: string | undefined
  #hedgeTimer: NodeJS.Timeout | undefined
  #done = false

  constructor(options: ExchangeOptions) {
    this.#o = options
    this.#delivery = createDelivery(options.response)
    options.response.on('close', () => this.#clientGone())
  }

  /** Called when the body has been gathered. */
  start(): void {
    if (this.#done) return
    const { route, chosen, kind } = this.#o
    this.#deadlineAt = performance.now() + route.deadlineMs
    route.retryBudget.requested()
    const fallback = this.#fallbackVariant()
    if (fallback && fallback !== chosen && !chosen.targets.some(isOpen) && fallback.targets.some(isOpen))
      return this.#tryFallback(fallback) // all endpoints are out: their share goes over at once
    this.#armHedge(chosen)
    this.#try(chosen, kind)
  }

  /** Ends the request with an error of our own. */
  refuse(error: WeirError): void {
    if (this.#done) return
    for (const answer of this.#active) this.#drop(answer)
    sendError(this.#o.response, error, this.#o.requestId)
    this.#finish(error.statusCode)
  }

  /** Somebody else answers the client. */
  abandon(status: number): void {
    if (this.#done) return
    for (const answer of this.#active) this.#drop(answer)
    this.#finish(status)
  }

  recover(answer: Answer, { reason, ...failure }: AttemptFailure): boolean {
    if (this.#done || this.#o.response.headersSent) return false
    const recovery = this.#decideRecovery(answer, { reason, ...failure })
    if (recovery === 'same-endpoint') return this.#tryAgain(answer)
    if (this.#othersThan(answer) > 0 && recovery !== 'retry') {
      this.#record(answer, 'failure', reason)
      return true
    }
    switch (recovery) {
      case 'retry':
        this.#retries++
        this.#record(answer, 'failure', reason)
        this.#try(answer.variant, 'retry')
        return true
      case 'fallback':
        this.#record(answer, 'failure', reason)
        this.#tryFallback(this.#fallbackVariant() ?? answer.variant)
        return true
      default:
        if (recovery.unprotected !== undefined) answer.variant.counts.unprotected(recovery.unprotected)
        return false
    }
  }

  mustHold(answer: Answer): boolean {
    const { underContract, body, route } = this.#o
    if ((underContract && answer.succeeded) || this.#active.size > 1) return true
    const { fallback, idempotent } = route.policy
    const canFallBack = fallback !== undefined && fallback.to !== answer.variant.name && !this.#fallbackTried
    return canFallBack && idempotent && body.replayable
  }

  claim(answer: Answer, tooLong: boolean): void {
    if (tooLong) answer.variant.counts.unprotected('answer_too_long')
    this.#win(answer)
    const headers = answer.head?.headers
    this.#delivery.begin(answer, headers?.contentLength, this.#marks(answer, headers?.modelVersion))
  }

  write(answer: Answer, chunk: Buffer): void {
    this.#delivery.write(answer, chunk)
  }

  end(answer: Answer): void {
    this.#settle(answer)
    this.#delivery.end()
    this.#offerToMirror(answer, undefined)
    this.#finish(answer.head?.status ?? 0, answer)
  }

  /** A held answer is complete: it is held against the contract and goes out whole. */
  deliver(answer: Answer): void {
    const certified = this.#certify(answer)
    if (certified === 'invalid')
      return answer.failed({ reason: 'invalid', unsent: false, reusedConnection: false })
    this.#win(answer)
    this.#settle(answer)
    const headers = answer.head?.headers
    const payload = certified?.payload ?? Buffer.concat(answer.chunks)
    const length = hasNoBody(this.#o.request.method, answer) ? headers?.contentLength : payload.length
    const modelVersion = headers?.modelVersion ?? certified?.prediction.model_version
    this.#delivery.begin(answer, length, this.#marks(answer, modelVersion))
    this.#delivery.end(payload)
    if (certified) answer.variant.counts.predicted(certified.prediction.label)
    this.#offerToMirror(answer, certified)
    this.#finish(answer.head?.status ?? 0, answer)
  }

  fail(answer: Answer, { reason }: AttemptFailure): void {
    this.#record(answer, 'failure', reason)
    if (this.#done) return
    if (this.#o.response.headersSent) {
      this.#delivery.cut()
      return this.#finish(answer.head?.status ?? 0, answer)
    }
    if (this.#active.size === 0) this.refuse(failureError(reason))
  }

  #try(variant: Variant, kind: AttemptKind): void {
    const answer = new Answer(this, variant, kind)
    this.#active.add(answer)
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

  #tryAgain(answer: Answer): boolean {
    this.#reuseRaceTried = true
    this.#record(answer, 'dropped', 'reuse') // nobody's failure: the connection was closing as we used it
    this.#tried.length = 0
    this.#try(answer.variant, answer.kind)
    return true
  }

  #tryFallback(fallback: Variant): void {
    this.#fallbackTried = true
    this.#fellBackFrom = this.#o.chosen.name
    this.#try(fallback, 'fallback')
  }

  #dispatch(answer: Answer): void {
    const { targets, limiter } = answer.variant
    const target = pickTarget(targets, this.#tried) ?? pickDesperately(targets, this.#tried)
    if (target === undefined) {
      limiter.release()
      return answer.failed({ reason: 'connect', unsent: true, reusedConnection: false })
    }
    this.#tried.push(target)
    const { request, path, headers, body, timeLimits } = this.#o
    const method = request.method ?? 'GET'
    const timeoutMs = this.#attemptMs()
    answer.attempt = new Attempt(target, { method, path, headers, body, timeoutMs, timeLimits }, answer)
    answer.attempt.start()
  }

  #decideRecovery(answer: Answer, failure: AttemptFailure): Recovery {
    const { route, body } = this.#o
    const { variant } = answer
    const circumstances = {
      policy: route.policy,
      bodyIsKept: body.replayable,
      remainingMs: this.#deadlineAt - performance.now(),
      otherEndpoint: pickTarget(variant.targets, this.#tried) !== undefined,
      retriesMade: this.#retries,
      reuseRaceTried: this.#reuseRaceTried,
      fallbackTried: this.#fallbackTried,
    }
    const recovery = decideRecovery({ variant: variant.name, ...failure }, circumstances)
    if (recovery !== 'retry' || route.retryBudget.spend()) return recovery
    variant.counts.retryBudgetExhausted.add()
    return decideRecovery({ variant: variant.name, ...failure }, { ...circumstances, otherEndpoint: false })
  }

  #armHedge(chosen: Variant): void {
    const { route, body, response } = this.#o
    const { hedge } = route.policy
    const other = hedge && route.variants.get(hedge.to)
    const afterMs = hedge && other && hedgeAfterMs(hedge, other)
    if (other === undefined || other === chosen || afterMs === undefined) return
    this.#hedgeTimer = setTimeout(() => {
      if (this.#done || this.#active.size !== 1 || response.headersSent || !body.replayable) return
      this.#try(other, 'hedge')
    }, afterMs)
  }

  #certify(answer: Answer): Certified | 'invalid' | undefined {
    const { underContract, route, ids, wallClock } = this.#o
    if (!underContract || !answer.succeeded) return undefined
    return certify(answer, { route, ids, now: wallClock() }) ?? 'invalid'
  }

  /** This answer is the one; whatever else is running is given up. */
  #win(answer: Answer): void {
    clearTimeout(this.#hedgeTimer)
    for (const other of this.#active) if (other !== answer) this.#drop(other)
    if (answer.kind === 'hedge') this.#fellBackFrom = this.#o.chosen.name
  }

  #settle(answer: Answer): void {
    if (answer.failure !== undefined) return this.#record(answer, 'failure', answer.failure)
    this.#record(answer, (answer.head?.status ?? 0) >= 400 ? 'client_error' : 'success', '')
  }

  #drop(answer: Answer): void {
    answer.withdraw?.()
    answer.attempt?.abort()
    this.#record(answer, 'dropped', '')
  }

  #record(answer: Answer, outcome: Outcome, reason: string): void {
    if (this.#active.delete(answer)) answer.record(outcome, reason)
  }

  #marks(answer: Answer, modelVersion: string | undefined): AnswerMarks {
    const { requestId, setCookie, isDraining } = this.#o
    return {
      requestId,
      variant: answer.variant.name,
      modelVersion,
      fallback: this.#fellBackFrom,
      setCookie,
      close: isDraining(),
    }
  }

  #offerToMirror(answer: Answer, certified: Certified | undefined): void {
    const { route, kind, request, body, requestId, path, headers } = this.#o
    if (
      !route.mirror ||
      kind !== 'split' ||
      answer.failure !== undefined ||
      (answer.head?.status ?? 0) >= 400
    )
      return
    route.mirror.offer({
      requestId,
      method: request.method ?? 'GET',
      path,
      headers,
      body,
      variant: answer.variant.name,
      prediction: certified?.prediction,
      latencyMs: answer.seconds * 1000,
      countsOf: name => route.variants.get(name)?.counts,
    })
  }

  #clientGone(): void {
    if (this.#done) return
    for (const answer of this.#active) this.#drop(answer)
    this.#finish(CLIENT_CLOSED)
  }

  #finish(status: number, answer?: Answer): void {
    if (this.#done) return
    this.#done = true
    clearTimeout(this.#hedgeTimer)
    this.#o.route.countResponse(status)
    this.#o.body.release()
    this.#o.onDone(status, answer?.variant.name)
  }

  #fallbackVariant(): Variant | undefined {
    const { route } = this.#o
    return route.policy.fallback && route.variants.get(route.policy.fallback.to)
  }

  #othersThan(answer: Answer): number {
    return this.#active.size - (this.#active.has(answer) ? 1 : 0)
  }

  #attemptMs(): number {
    return Math.max(1, Math.min(this.#o.route.policy.timeoutMs, this.#deadlineAt - performance.now()))
  }
}

const CLIENT_CLOSED = 499

/** RFC 9112 6.3: such answers have no body, whatever their headers say. */
function hasNoBody(method: string | undefined, { head }: Answer): boolean {
  return method === 'HEAD' || head?.status === 204 || head?.status === 304
}
