// Weights where processes are replaced one by one: whole processes of all that there are.

/** Percent, two decimals, from one process to all but the last: at the last there is nothing left to compare with. */
function processShares(processes: number): readonly number[] {
  return Array.from({ length: processes - 1 }, (_, index) => shareOf(index + 1, processes))
}

/** The least share of whole processes that is no less than a weight, percent; everything is everything, and nothing nothing. */
export function inProcesses(weightPercent: number, processes: number): number {
  return [0, ...processShares(processes), 100].find(share => share >= weightPercent - ROUNDING) ?? 100
}

/** The weights of a ramp that ends at `to`. */
export function sharesUpTo(to: number, processes: number): readonly number[] {
  const last = inProcesses(to, processes)
  return processShares(processes).filter(share => share <= last)
}

const ROUNDING = 0.01

function shareOf(count: number, processes: number): number {
  return Math.round((10_000 * count) / processes) / 100
}
