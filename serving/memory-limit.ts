import type { ExitRecord } from '../contract/exit-record.ts'
import type { Clock } from '../lib/clock.ts'

const LOOK_EVERY_MS = 1000
/** What loading leaves behind is given back within this time, or is there to stay. */
const SETTLE_LOOKS = 5
const SETTLE_EVERY_MS = 200
const MIB = 2 ** 20

/** More memory is resident than the version's manifest allows. */
export class MemoryLimitExceeded extends Error {
  readonly exit: ExitRecord

  constructor(residentBytes: number, limitMiB: number) {
    const reason = overLimit(residentBytes, limitMiB)
    super(reason)
    const peakBytes = Math.max(residentBytes, process.resourceUsage().maxRSS * 1024)
    const limitBytes = limitMiB * MIB
    this.exit = {
      pid: process.pid,
      cause: 'memory-limit',
      code: 1,
      signal: null,
      peakBytes,
      limitBytes,
      reason,
    }
  }
}

/** To be called before a version takes requests. Throws MemoryLimitExceeded when it takes too much, and goes on doing so. */
export async function requireMemory(limitMiB: number, clock: Clock): Promise<void> {
  for (let looks = 1; ; looks++) {
    const resident = process.memoryUsage.rss()
    if (resident <= limitMiB * MIB) return
    if (looks === SETTLE_LOOKS) throw new MemoryLimitExceeded(resident, limitMiB)
    await clock.sleep(SETTLE_EVERY_MS)
  }
}

/**
 * Looks each second whether this process takes more memory than its version's manifest allows, so that it ends in order
 * instead of by the system, which may choose another victim. Returns what stops the looking.
 */
export function watchMemory(limitMiB: number, onExceeded: (cause: MemoryLimitExceeded) => void): () => void {
  const timer = setInterval(() => {
    const resident = process.memoryUsage.rss()
    if (resident <= limitMiB * MIB) return
    clearInterval(timer)
    onExceeded(new MemoryLimitExceeded(resident, limitMiB))
  }, LOOK_EVERY_MS)
  timer.unref()
  return () => clearInterval(timer)
}

export function overLimit(residentBytes: number, limitMiB: number): string {
  const residentMiB = (residentBytes / MIB).toFixed(0)
  return `${residentMiB} MiB are resident, over the limit of ${limitMiB} (memoryLimitMiB in model.json)`
}
