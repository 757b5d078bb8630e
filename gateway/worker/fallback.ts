import type { FailureReason, RoutePolicy } from '../../contract/policy.ts'

/** What is known when an attempt has failed and nothing has reached the client yet. */
export interface FailedAttempt {
  readonly variant: string
  readonly reason: FailureReason
  /** Nothing of the request can have been acted upon: trying again is safe whatever the request does. */
  readonly unsent: boolean
  readonly reusedConnection: boolean
}

export interface Circumstances {
  readonly policy: RoutePolicy
  readonly bodyIsKept: boolean
  readonly remainingMs: number
  /** Another endpoint of the same variant takes requests and has not been tried. */
  readonly otherEndpoint: boolean
  readonly retriesMade: number
  readonly reuseRaceTried: boolean
  readonly fallbackTried: boolean
}

export type Recovery =
  | 'same-endpoint'
  | 'retry'
  | 'fallback'
  /** It fails for the client; the reason says why there was no fallback although the route has one. */
  | { readonly unprotected: string | undefined }

/**
 * What to do about a failed attempt. Replaying is safe when nothing was sent or the route is idempotent.
 */
export function decideRecovery(failed: FailedAttempt, seen: Circumstances): Recovery {
  const { policy } = seen
  const hasFallback =
    policy.fallback !== undefined && policy.fallback.to !== failed.variant && !seen.fallbackTried
  const forbidden = whyNotAgain(failed, seen)
  if (forbidden !== undefined) return { unprotected: hasFallback ? forbidden : undefined }
  if (failed.reusedConnection && !seen.reuseRaceTried) return 'same-endpoint'
  if (seen.otherEndpoint && seen.retriesMade < policy.retry.attempts && isWorthRetrying(failed))
    return 'retry'
  if (!hasFallback) return { unprotected: undefined }
  return policy.fallback?.on.includes(failed.reason) ? 'fallback' : { unprotected: 'reason_excluded' }
}

/** A time-out has used up the time of one attempt; what our own limit refused, the same limit would refuse again. */
function isWorthRetrying({ reason, unsent }: FailedAttempt): boolean {
  return reason !== 'timeout' && !(reason === 'overload' && unsent)
}

function whyNotAgain({ unsent }: FailedAttempt, seen: Circumstances): string | undefined {
  if (!unsent && !seen.policy.idempotent) return 'not_idempotent'
  if (!seen.bodyIsKept) return 'body_not_kept'
  return seen.remainingMs <= 0 ? 'deadline' : undefined
}
