/** A place among the requests in flight at a variant; `release` gives it back, once. */
export type Admission = 'admitted' | 'queued' | 'refused'

export interface Limiter {
  readonly inFlight: number
  /** `onAdmitted` is called later when it answers "queued". */
  enter(onAdmitted: () => void): Admission
  /** Leaves the queue; false: it was not in it (any more). */
  withdraw(onAdmitted: () => void): boolean
  release(): void
}

/** Bounds what one variant has in flight, with a bounded queue, first come first served. */
export function createLimiter(maxInFlight: number, maxQueued: number): Limiter {
  let inFlight = 0
  const queue = new Set<() => void>() // in order of insertion
  return {
    get inFlight() {
      return inFlight
    },
    enter(onAdmitted) {
      if (inFlight < maxInFlight) {
        inFlight++
        return 'admitted'
      }
      if (queue.size >= maxQueued) return 'refused'
      queue.add(onAdmitted)
      return 'queued'
    },
    withdraw: onAdmitted => queue.delete(onAdmitted),
    release() {
      const [next] = queue
      if (next === undefined) {
        inFlight--
        return
      }
      queue.delete(next)
      next() // the place passes on
    },
  }
}

/** Each worker's part of a limit for the whole gateway, at least 1. */
export function shareOf(limit: number, workers: number): number {
  return Math.max(1, Math.ceil(limit / workers))
}

export interface RetryBudget {
  requested(): void
  /** Takes one retry out of the budget, if there is one. */
  spend(): boolean
}

const BUDGET_WINDOW_MS = 1000

/** Retries as a share of requests, and at least so many a second, so that failures do not multiply the load. */
export function createRetryBudget(share: number, minPerSecond: number, now: () => number): RetryBudget {
  let windowStart = now()
  let requests = 0
  let requestsBefore = 0
  let spent = 0
  const roll = () => {
    const at = now()
    if (at - windowStart < BUDGET_WINDOW_MS) return
    requestsBefore = at - windowStart < 2 * BUDGET_WINDOW_MS ? requests : 0
    requests = 0
    spent = 0
    windowStart = at
  }
  return {
    requested() {
      roll()
      requests++
    },
    spend() {
      roll()
      const allowed = Math.max(minPerSecond, share * Math.max(requests, requestsBefore))
      if (spent + 1 > allowed) return false
      spent++
      return true
    },
  }
}
