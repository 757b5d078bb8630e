import type { IncomingMessage, ServerResponse } from 'node:http'
import type { WeirError } from '../../contract/errors.ts'
import type { PredictionIds } from '../prediction-id.ts'
import type { CallFailure } from '../upstream/connection.ts'
import type { Answer, AnswerOwner } from './answer.ts'
import { Attempts } from './attempts.ts'
import type { RequestBody } from './body.ts'
import type { BreachLog } from './breach-log.ts'
import { certify, type Certified } from './certify.ts'
import { createDelivery, type Delivery } from './delivery.ts'
import { hedgeAfterMs } from './hedge.ts'
import { liveRequestOf } from './live-request.ts'
import type { Route, Variant } from './policy.ts'
import { Recoveries } from './recoveries.ts'
import type { RequestTrace } from './request-trace.ts'
import { failureError, sendError, sendErrorAndDrain, type AnswerMarks } from './respond.ts'
import { isOpen } from './target.ts'
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
  readonly trace: RequestTrace | undefined
  readonly breachLog: BreachLog
  readonly onDone: (status: number, answeredBy: string | undefined) => void
}

/**
 * One request from the chosen variant to the answer: attempts, one after another or side by side, of which exactly one answers
 * the client. It holds its policy to the end, whatever is changed meanwhile.
 */
export class Exchange implements AnswerOwner {
  readonly #o: ExchangeOptions
  readonly #delivery: Delivery
  readonly #attempts: Attempts
  /** Nothing before the first failure. */
  #recoveries: Recoveries | undefined
  /** The variant that was chosen, when another answers for it. */
  #fellBackFrom: string | undefined
  #hedgeTimer: NodeJS.Timeout | undefined
  #done = false

  constructor(options: ExchangeOptions) {
    this.#o = options
    this.#delivery = createDelivery(options.response)
    this.#attempts = createAttempts(this, options)
    options.response.on('close', () => this.#clientGone())
  }

  /** Called when the body has been gathered. */
  start(): void {
    if (this.#done) return
    const { route, chosen, kind } = this.#o
    this.#attempts.start()
    route.retryBudget.requested()
    const fallback = this.#fallbackVariant()
    if (fallback && fallback !== chosen && !chosen.targets.some(isOpen) && fallback.targets.some(isOpen))
      return this.#tryFallback(fallback) // all endpoints are out: their share goes over at once
    this.#armHedge(chosen)
    this.#attempts.begin(chosen, kind)
  }

  /** Ends the request with an error of our own. */
  refuse(error: WeirError): void {
    if (this.#done) return
    this.#attempts.dropAll()
    const { body, response, requestId } = this.#o
    if (body.complete) sendError(response, error, requestId)
    else sendErrorAndDrain(response, error, requestId)
    this.#finish(error.statusCode)
  }

  /** Somebody else answers the client. */
  abandon(status: number): void {
    if (this.#done) return
    this.#attempts.dropAll()
    this.#finish(status)
  }

  recover(answer: Answer, failure: CallFailure): boolean {
    if (this.#done || this.#o.response.headersSent) return false
    const recovery = this.#ofRecoveries().decide(answer, failure)
    if (recovery === 'same-endpoint') {
      this.#attempts.repeat(answer)
      return true
    }
    const othersGoOn = this.#attempts.othersThan(answer) > 0
    if (typeof recovery === 'object' && !othersGoOn) {
      if (recovery.unprotected !== undefined) answer.variant.counts.unprotected(recovery.unprotected)
      return false
    }
    this.#attempts.record(answer, 'failure', failure.reason)
    if (recovery === 'retry') this.#attempts.begin(answer.variant, 'retry')
    else if (!othersGoOn) this.#tryFallback(this.#fallbackVariant() ?? answer.variant)
    return true
  }

  mustHold(answer: Answer): boolean {
    const { underContract, body, route } = this.#o
    if ((underContract && answer.succeeded) || this.#attempts.underWay > 1) return true
    const { fallback, idempotent } = route.policy
    const canFallBack =
      fallback !== undefined &&
      fallback.to !== answer.variant.name &&
      this.#recoveries?.fallbackTried !== true
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
    this.#attempts.settle(answer)
    this.#delivery.end(answer)
    this.#offerToMirror(answer, undefined)
    this.#finish(answer.head?.status ?? 0, answer)
  }

  /** A held answer is complete: it is held against the contract and goes out whole. */
  deliver(answer: Answer): void {
    const certified = this.#certify(answer)
    if (certified === 'invalid') {
      this.#o.breachLog.tell(this.#o.route, answer)
      return answer.failed({ reason: 'invalid', unsent: false, reusedConnection: false })
    }
    this.#win(answer)
    this.#attempts.settle(answer)
    const headers = answer.head?.headers
    const payload = certified?.payload ?? answer.payload
    const length = hasNoBody(this.#o.request.method, answer) ? headers?.contentLength : payload.length
    const modelVersion = headers?.modelVersion ?? certified?.prediction.model_version
    this.#delivery.begin(answer, length, this.#marks(answer, modelVersion))
    this.#delivery.end(answer, payload)
    if (certified) answer.variant.counts.predicted(certified.prediction.label)
    this.#offerToMirror(answer, certified)
    this.#finish(answer.head?.status ?? 0, answer)
  }

  fail(answer: Answer, { reason }: CallFailure): void {
    this.#attempts.record(answer, 'failure', reason)
    if (this.#done) return
    if (this.#o.response.headersSent) {
      this.#delivery.cut()
      return this.#finish(answer.head?.status ?? 0, answer)
    }
    if (this.#attempts.underWay === 0) this.refuse(failureError(reason))
  }

  #ofRecoveries(): Recoveries {
    return (this.#recoveries ??= new Recoveries(this.#o.route, this.#o.body, this.#attempts))
  }

  #tryFallback(fallback: Variant): void {
    this.#ofRecoveries().fallbackTried = true
    this.#fellBackFrom = this.#o.chosen.name
    this.#attempts.begin(fallback, 'fallback')
  }

  #armHedge(chosen: Variant): void {
    const { route, body, response } = this.#o
    const { hedge } = route.policy
    const other = hedge && route.variants.get(hedge.to)
    const afterMs = hedge && other && hedgeAfterMs(hedge, other)
    if (other === undefined || other === chosen || afterMs === undefined) return
    this.#hedgeTimer = setTimeout(() => {
      if (this.#done || this.#attempts.underWay !== 1 || response.headersSent || !body.replayable) return
      if (this.#recoveries?.fallbackTried) return // it is being asked already
      this.#attempts.begin(other, 'hedge')
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
    if (answer.kind !== 'hedge') return this.#attempts.dropAll(answer)
    this.#fellBackFrom = this.#o.chosen.name
    this.#attempts.outrun(answer)
  }

  #marks(answer: Answer, modelVersion: string | undefined): AnswerMarks {
    const { requestId, setCookie, isDraining } = this.#o
    return {
      requestId,
      variant: answer.variant.name,
      modelVersion,
      fallback: this.#fellBackFrom,
      setCookie,
      notice: this.#o.route.policy.notice,
      close: isDraining(),
    }
  }

  #offerToMirror(answer: Answer, certified: Certified | undefined): void {
    const { mirror } = this.#o.route
    const live = mirror && liveRequestOf(this.#o, answer, certified)
    if (live) mirror.offer(live)
  }

  #clientGone(): void {
    if (this.#done) return
    this.#attempts.dropAll()
    const { statusCode } = this.#o.response
    this.#finish(statusCode === UPLOAD_TOO_SLOW ? statusCode : CLIENT_CLOSED)
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
}

const CLIENT_CLOSED = 499
/** The listener has answered this and closed. */
const UPLOAD_TOO_SLOW = 408

function createAttempts(owner: AnswerOwner, o: ExchangeOptions): Attempts {
  const { request, route, path, headers, body, trace, timeLimits } = o
  const method = request.method ?? 'GET'
  const { timeoutMs } = route.policy
  const { deadlineMs } = route
  return new Attempts({ owner, method, path, headers, body, timeoutMs, deadlineMs, timeLimits, trace })
}

/** RFC 9112 6.3: such answers have no body, whatever their headers say. */
function hasNoBody(method: string | undefined, { head }: Answer): boolean {
  return method === 'HEAD' || head?.status === 204 || head?.status === 304
}
