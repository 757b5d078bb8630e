/** Something that ends when its time is up. */
export interface Limited {
  /** On the clock of performance.now(); Infinity: no limit at present. */
  dueAt: number
  timeOut(): void
}

/**
 * Time limits of attempts, looked at together every few milliseconds. A timer each would have to be made and cleared for every
 * request, although hardly any ever fires.
 */
export interface TimeLimits {
  watch(limited: Limited): void
  forget(limited: Limited): void
}

const LOOK_EVERY_MS = 10

export function createTimeLimits(now: () => number = () => performance.now()): TimeLimits {
  const watched = new Set<Limited>()
  let timer: NodeJS.Timeout | undefined
  const look = () => {
    timer = undefined
    const at = now()
    for (const limited of watched) if (limited.dueAt <= at) limited.timeOut()
    if (watched.size > 0) timer = setTimeout(look, LOOK_EVERY_MS)
  }
  return {
    watch(limited) {
      watched.add(limited)
      timer ??= setTimeout(look, LOOK_EVERY_MS)
    },
    forget: limited => void watched.delete(limited),
  }
}
