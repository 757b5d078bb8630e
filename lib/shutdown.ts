import type { Log } from './log.ts'

/** What was asked for cannot be, and starting again would not change that (EX_CONFIG of sysexits.h). */
export const REFUSED_EXIT_CODE = 78

export interface ShutdownOptions {
  readonly log: Log
  /** Stops taking work, finishes what is in flight, frees what is held. */
  readonly stop: (reason: string) => Promise<void>
  /** After this the process ends with exit code 1 even if `stop` has not finished. */
  readonly limitMs: number
  /** A process whose end ends this one as well (looked at each second), so that a killed parent leaves nothing behind. */
  readonly ownerPid?: number | undefined
}

/** Ends the process in order on SIGTERM, SIGINT, or when its owner is gone: exit code 0 after a clean stop, 1 otherwise. */
export function stopOnSignals({ log, stop, limitMs, ownerPid }: ShutdownOptions): void {
  let stopping = false
  const end = (reason: string) => {
    if (stopping) return
    stopping = true
    clearInterval(ownerWatch)
    setTimeout(() => {
      log.error({ limitMs }, 'did not stop in time')
      process.exit(1)
    }, limitMs).unref()
    stop(reason).then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'stopping failed')
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', () => end('SIGTERM'))
  process.on('SIGINT', () => end('SIGINT'))
  const ownerWatch = setInterval(() => {
    if (ownerPid !== undefined && !isAlive(ownerPid)) end('owner is gone')
  }, 1000)
  ownerWatch.unref()
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
