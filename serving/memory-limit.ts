const LOOK_EVERY_MS = 1000

/**
 * Looks each second whether this process takes more memory than its version's manifest allows, so that it ends in order
 * instead of by the system, which may choose another victim. Returns what stops the looking.
 */
export function watchMemory(limitMiB: number, onExceeded: (cause: Error) => void): () => void {
  const timer = setInterval(() => {
    const resident = process.memoryUsage.rss()
    if (resident <= limitMiB * 2 ** 20) return
    clearInterval(timer)
    onExceeded(new Error(overLimit(resident, limitMiB)))
  }, LOOK_EVERY_MS)
  timer.unref()
  return () => clearInterval(timer)
}

export function overLimit(residentBytes: number, limitMiB: number): string {
  const residentMiB = (residentBytes / 2 ** 20).toFixed(0)
  return `${residentMiB} MiB are resident, over the limit of ${limitMiB} (memoryLimitMiB in model.json)`
}
