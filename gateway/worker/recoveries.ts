import type { CallFailure } from '../upstream/connection.ts'
import type { Answer } from './answer.ts'
import type { Attempts } from './attempts.ts'
import type { RequestBody } from './body.ts'
import { decideRecovery, type Recovery } from './fallback.ts'
import type { Route } from './policy.ts'

/** What has been done about failures of one request so far, and so what may still be done. */
export class Recoveries {
  fallbackTried = false
  readonly #route: Route
  readonly #body: RequestBody
  readonly #attempts: Attempts
  #retries = 0
  #reuseRaceTried = false

  constructor(route: Route, body: RequestBody, attempts: Attempts) {
    this.#route = route
    this.#body = body
    this.#attempts = attempts
  }

  decide(answer: Answer, failure: CallFailure): Recovery {
    const { policy, retryBudget } = this.#route
    const { variant } = answer
    const failed = { variant: variant.name, ...failure }
    const circumstances = {
      policy,
      bodyIsKept: this.#body.replayable,
      remainingMs: this.#attempts.remainingMs,
      otherEndpoint: this.#attempts.hasOtherEndpoint(variant),
      retriesMade: this.#retries,
      reuseRaceTried: this.#reuseRaceTried,
      fallbackTried: this.fallbackTried,
    }
    const recovery = decideRecovery(failed, circumstances)
    if (recovery !== 'retry' || retryBudget.spend()) return this.#remember(recovery)
    variant.counts.retryBudgetExhausted.add()
    return this.#remember(decideRecovery(failed, { ...circumstances, otherEndpoint: false }))
  }

  #remember(recovery: Recovery): Recovery {
    if (recovery === 'retry') this.#retries++
    if (recovery === 'same-endpoint') this.#reuseRaceTried = true
    return recovery
  }
}
