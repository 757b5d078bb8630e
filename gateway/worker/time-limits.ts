/** Something that ends when its time is up. */
export interface Limited {
  /** On the clock of performance.now(); Infinity: no limit at present. */
  dueAt: number
  /** Its place among those watched; below 0 it is not watched. For `TimeLimits` only. */
  place: number
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

/**
 * A list in which the last takes the place of whoever leaves. A Set would be simpler, but when it makes room for new members its
 * old table points to the new one: once one is in V8's old space, all that follow survive until the next full collection, with
 * every request in them.
 */
export function createTimeLimits(now: () => number = () => performance.now()): TimeLimits {
  const watched: Limited[] = []
  let timer: NodeJS.Timeout | undefined
  const look = () => {
    timer = undefined
    const at = now()
    for (const limited of watched.filter(({ dueAt }) => dueAt <= at)) limited.timeOut()
    if (watched.length > 0) timer = setTimeout(look, LOOK_EVERY_MS)
  }
  return {
    watch(limited) {
      limited.place = watched.push(limited) - 1
      timer ??= setTimeout(look, LOOK_EVERY_MS)
    },
    forget(limited) {
      const { place } = limited
      const last = watched[watched.length - 1]
      if (place < 0 || last === undefined) return
      watched[place] = last
      last.place = place
      watched.pop()
      limited.place = -1
    },
  }
}
