/** Weighted variants that take part in a split; weights in hundredths of a percent, all above 0. */
export interface Share {
  readonly variant: string
  readonly weightBp: number
}

/**
 * Deals requests by Tijdeman's method (the chairman assignment problem, Discrete Mathematics 32, 1980): after any number of
 * requests each variant has had its share to within one. Random draws would be 4 off per hundred.
 */
export function createSplit(shares: readonly Share[]): () => string | undefined {
  const total = shares.reduce((sum, { weightBp }) => sum + weightBp, 0)
  if (shares.length <= 1) return () => shares[0]?.variant
  const slack = total / (2 * shares.length - 2)
  const owed = shares.map(() => 0) // what each variant is owed, times total: integers, so nothing drifts
  return () => {
    let chosen = 0
    let nearest = Infinity
    for (const [index, { weightBp }] of shares.entries()) {
      const credit = (owed[index] ?? 0) + weightBp
      owed[index] = credit
      const requestsUntilLate = (total - slack - credit) / weightBp
      if (credit >= slack && requestsUntilLate < nearest) {
        nearest = requestsUntilLate
        chosen = index
      }
    }
    owed[chosen] = (owed[chosen] ?? 0) - total
    return shares[chosen]?.variant
  }
}
