import { createTilts, exposureShare, logSum, NON_INFERIORITY } from './e-value.ts'
import { createTemper, type MetricBlock } from './temper.ts'

/** The bound's level: the chance that it is ever below the true excess. */
export const BETA = 0.05

export interface Bound {
  step(block: MetricBlock): void
  /** Upper bound on pc - ps, a fraction from -1 to 1; 1 says that nothing is known. */
  upper(): number
}

/**
 * Positive evidence, not the absence of alarm: the largest excess pc - ps that the counts do not refute at `beta`. Each
 * ratio below 1 refutes pc >= ps + d the more, the larger d is; the bound is the d at which their mean reaches 1/beta.
 */
export function createBound(beta = BETA): Bound {
  const temper = createTemper(1)
  const tiltsOf = createTilts(NON_INFERIORITY)
  const lines = NON_INFERIORITY.map(() => ({ log: 0, slope: 0 }))
  const target = Math.log(1 / beta) + Math.log(lines.length)
  let upper: number | undefined = 1

  return {
    step(block) {
      const phi = temper(block)
      const tilts = tiltsOf(exposureShare(block.counts))
      for (const [k, line] of lines.entries()) {
        const tilt = tilts[k]
        if (!tilt) continue
        line.log += (block.counts.xc * tilt.candidate - block.counts.xs * tilt.stable) / phi
        line.slope += (-tilt.excess * block.counts.nc) / phi
      }
      upper = undefined
    },
    upper: () => (upper ??= solve(lines, target)),
  }
}

interface Line {
  readonly log: number
  readonly slope: number
}

/** The d in [-1, 1] at which the log-sum of the lines reaches the target, 1 where it does not. It increases with d. */
function solve(lines: readonly Line[], target: number): number {
  const at = (d: number) => logSum(lines.map(line => line.log + line.slope * d))
  if (at(1) < target) return 1
  // No line alone is above the target at the root, and one of them is within ln 8 of it: that brackets the root.
  const nearest = (goal: number) => Math.min(...lines.map(line => (goal - line.log) / line.slope))
  let low = Math.max(-1, nearest(target - Math.log(lines.length)))
  let high = Math.min(1, nearest(target))
  while (high - low > PRECISION) {
    const middle = (low + high) / 2
    if (at(middle) < target) low = middle
    else high = middle
  }
  return high
}

const PRECISION = 1e-12
