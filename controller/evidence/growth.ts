import type { Look } from '../../contract/history.ts'

/** By how much a counter beside the judge's own grew since the last look. */
export interface Grown {
  readonly variant: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly by: number
}

/**
 * Learns from looks how counters grow. A process' first look is a baseline only. One that it names later began at 0, and one
 * below its last value began anew.
 */
export function createGrowth(): (look: Pick<Look, 'series' | 'counters'>) => readonly Grown[] {
  const last = new Map<string, number>()
  const known = new Set<string>()
  return ({ series, counters = [] }) => {
    const grown = counters.flatMap(({ id, variant, name, labels, value }): Grown[] => {
      if (value === null) return []
      const key = JSON.stringify([id, variant, name, Object.entries(labels).toSorted()])
      const before = last.get(key)
      last.set(key, value)
      if (before === undefined && !known.has(id)) return []
      return [{ variant, name, labels, by: before === undefined || value < before ? value : value - before }]
    })
    for (const { id } of [...series, ...counters]) known.add(id)
    return grown
  }
}
