import { WeirError } from '../contract/errors.ts'
import type { Drill } from '../contract/rollout.ts'
import type { Clock } from '../lib/clock.ts'

/** What a drill does to one answer. */
export interface DrillEffect {
  readonly delayMs: number
  readonly fails: boolean
}

/**
 * Which answers a rehearsed failure hits: after the first `after`, every answer is slowed and `failRate` of them fail, evenly
 * spread, so that a rehearsal needs no luck. With 0.3 the 4th, 7th, 10th, 14th, … fail.
 */
export function createDrillSchedule({ failRate, delayMs, after }: Drill): () => DrillEffect {
  let requests = 0
  return () => {
    requests += 1
    const drilled = requests - after
    if (drilled <= 0) return { delayMs: 0, fails: false }
    return { delayMs, fails: Math.floor(drilled * failRate) > Math.floor((drilled - 1) * failRate) }
  }
}

/** Delays, and throws an error with the drill's status, where the schedule says so. */
export function createDrill(drill: Drill, clock: Clock): () => Promise<void> {
  const next = createDrillSchedule(drill)
  return async () => {
    const { delayMs, fails } = next()
    if (delayMs > 0) await clock.sleep(delayMs)
    if (fails) throw new DrillError(drill.statusCode)
  }
}

/** Failing on purpose, with whatever status is rehearsed. */
class DrillError extends WeirError {
  override readonly statusCode: number

  constructor(statusCode: number) {
    super('drill', 'this failure is a rehearsal')
    this.statusCode = statusCode
  }
}
