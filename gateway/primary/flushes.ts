import type { WorkerPool } from './worker-pool.ts'

/** Asks all workers for what they have counted, so that a scrape misses nothing that a client has seen answered. */
export interface Flushes {
  all(): Promise<void>
  arrived(flush: number, worker: string): void
}

/** A stopped worker must not hold up a scrape; what it counted comes later. */
const FLUSH_LIMIT_MS = 300

export function createFlushes(pool: Pick<WorkerPool, 'list' | 'broadcast'>): Flushes {
  const waiting = new Map<number, { readonly missing: Set<string>; readonly done: () => void }>()
  let last = 0
  return {
    all() {
      const flush = ++last
      const missing = new Set(pool.list().flatMap(({ name, ready }) => (ready ? name : [])))
      if (missing.size === 0) return Promise.resolve()
      return new Promise(resolve => {
        const done = () => {
          clearTimeout(timer)
          waiting.delete(flush)
          resolve()
        }
        const timer = setTimeout(done, FLUSH_LIMIT_MS)
        waiting.set(flush, { missing, done })
        pool.broadcast({ type: 'flush', flush })
      })
    },
    arrived(flush, worker) {
      const entry = waiting.get(flush)
      entry?.missing.delete(worker)
      if (entry?.missing.size === 0) entry.done()
    },
  }
}
