import type { Evidence } from '../../controller/evidence/evidence.ts'

/** A gateway whose candidate answers `pairs` more copies at each look, of which so many as production does. */
export function comparisons(pairs: number, agreeing: number): Evidence {
  let looks = 0
  return {
    async look(route) {
      const counted = (result: string, each: number) => ({
        id: 'gw-0',
        variant: 'candidate',
        name: 'weir_comparisons_total',
        labels: { result },
        value: each * looks,
      })
      const counters = [counted('agree', agreeing), counted('disagree', pairs - agreeing)]
      looks += 1
      if (route !== 'food11') return { kind: 'no-data', reason: 'another route', failed: false }
      return { kind: 'look', look: { t: looks, series: [], counters }, warnings: [] }
    },
  }
}
