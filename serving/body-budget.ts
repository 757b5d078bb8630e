import { WeirError } from '../contract/errors.ts'

/** What one request takes of the budget. */
export interface BodyLease {
  /** Throws `overloaded` when so many more bytes do not fit beside those of other requests. */
  take(bytes: number): void
  /** Gives all of it back; called again it does nothing. */
  end(): void
}

export interface BodyBudget {
  lease(): BodyLease
  heldBytes(): number
}

/**
 * How many bytes of bodies the process holds, from a request's first chunk until its answer. A body may have 32 MiB, and a dozen
 * that arrive at the same time would take a version over its memory limit before the queue sees the first of them.
 */
export function createBodyBudget(limitBytes: number): BodyBudget {
  let heldBytes = 0
  const lease = (): BodyLease => {
    let ownBytes = 0
    return {
      take(bytes) {
        if (heldBytes + bytes > limitBytes) {
          const options = { retryAfterSeconds: 1, details: { reason: 'bodies' } }
          throw new WeirError('overloaded', 'the bodies of other requests fill the memory set aside', options)
        }
        heldBytes += bytes
        ownBytes += bytes
      },
      end() {
        heldBytes -= ownBytes
        ownBytes = 0
      },
    }
  }
  return { lease, heldBytes: () => heldBytes }
}
