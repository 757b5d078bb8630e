import type { ComparisonRecord } from '../messages.ts'

/** The last comparisons of live and mirrored answers, for people to read. */
export interface Comparisons {
  add(record: ComparisonRecord): void
  /** Newest first. */
  list(route: string): ComparisonRecord[]
  forget(route: string): void
}

const KEPT_PER_ROUTE = 200

export function createComparisons(): Comparisons {
  const byRoute = new Map<string, ComparisonRecord[]>()
  return {
    add(record) {
      const records = byRoute.get(record.route) ?? []
      records.push(record)
      if (records.length > KEPT_PER_ROUTE) records.shift()
      byRoute.set(record.route, records)
    },
    list: route => (byRoute.get(route) ?? []).toReversed(),
    forget: route => void byRoute.delete(route),
  }
}
