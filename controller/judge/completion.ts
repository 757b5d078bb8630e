export interface CompletionLook {
  readonly t: number
  /** Cumulative: what the gateway gave the variant, and what ended in any way (answer, failure, client gone). */
  readonly assigned: number
  readonly completed: number
}

export interface Missing {
  /** Requests that should have ended by now and did not. */
  readonly requests: number
  /** Out of this many. */
  readonly due: number
}

/** What went missing longer ago than this is forgotten: a worker that died took its requests with it, once. */
const WINDOW_SECONDS = 60

/**
 * A candidate that hangs increments none of its own counters. What was assigned `withinSeconds` ago or earlier must have
 * completed by now. A counter that fell (a restart) begins the comparison anew.
 */
export function createCompletionWatch(withinSeconds: number): (look: CompletionLook) => Missing {
  let looks: CompletionLook[] = []
  return look => {
    const last = looks.at(-1)
    if (last && (look.assigned < last.assigned || look.completed < last.completed)) looks = []
    looks.push(look)
    looks = looks.filter(({ t }) => look.t - t <= withinSeconds + WINDOW_SECONDS)
    const begun = looks[0]
    const due = looks.findLast(({ t }) => look.t - t >= withinSeconds)
    if (begun === undefined || due === undefined) return { requests: 0, due: 0 }
    const assigned = due.assigned - begun.assigned
    return { requests: Math.max(0, assigned - (look.completed - begun.completed)), due: assigned }
  }
}
