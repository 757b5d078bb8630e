/** Figures of several rounds by contender and metric. */
export interface Figures {
  add(contender: string, metrics: Readonly<Record<string, number>>): void
  /** NaN where nothing was measured. */
  median(contender: string, metric: string): number
}

export function createFigures(): Figures {
  const all = new Map<string, number[]>()
  return {
    add(contender, metrics) {
      for (const [metric, value] of Object.entries(metrics)) {
        const key = `${contender}/${metric}`
        all.set(key, [...(all.get(key) ?? []), value])
      }
    },
    median: (contender, metric) => quantile(all.get(`${contender}/${metric}`) ?? [], 0.5),
  }
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
