import { z } from 'zod'

// How a process of a version ended. The model server and the runtime write it into the version's log as `exit`, so that it
// outlives both of them.

const CAUSES = ['memory-limit', 'out-of-memory', 'unhealthy', 'crash', 'unknown'] as const

export const exitRecord = z.object({
  pid: z.int(),
  /**
   * `memory-limit`: ended because it took more than its manifest allows; `out-of-memory`: killed by the kernel, which was out of
   * memory; `unhealthy`: ended because it did not answer; `crash`: ended on its own; `unknown`: nobody was there to see it.
   */
  cause: z.enum(CAUSES),
  code: z.int().nullable(),
  signal: z.string().nullable(),
  /** The most memory that was seen resident, where the system tells. */
  peakBytes: z.number().nullable(),
  /** What it was allowed, where that is why it ended. */
  limitBytes: z.number().nullable(),
  /** With the figures. */
  reason: z.string(),
})
export type ExitRecord = z.infer<typeof exitRecord>

/** Only these are "out of memory": everything else that ends is a crash, however much memory it took. */
export function isMemoryExit({ cause }: Pick<ExitRecord, 'cause'>): boolean {
  return cause === 'memory-limit' || cause === 'out-of-memory'
}

/** The kernel's counter of processes that it killed for memory, seen while the process still ran and after it had ended. */
export interface OomKills {
  readonly before: number | undefined
  readonly after: number | undefined
}

/** The kernel kills with SIGKILL and counts it; without both, whoever killed it was somebody else. */
export function causeOfEnding(signal: string | null, { before, after }: OomKills): 'out-of-memory' | 'crash' {
  const counted = before !== undefined && after !== undefined && after > before
  return signal === 'SIGKILL' && counted ? 'out-of-memory' : 'crash'
}

export function describeEnding(
  { code, signal }: Pick<ExitRecord, 'code' | 'signal'>,
  cause: ExitRecord['cause'],
): string {
  if (cause === 'out-of-memory') return 'killed by the kernel, which was out of memory'
  return code === null ? `ended by ${signal}` : `ended with code ${code}`
}
