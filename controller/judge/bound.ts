import { createTilts, exposureShare, NON_INFERIORITY } from './e-value.ts'
import { createPace, type Forecast, type Line, type Standing } from './forecast.ts'
import { createTemper, type MetricBlock } from './temper.ts'

/** The bound's level: the chance that it is ever below the true excess. */
const BETA = 0.05

export interface Bound {
  step(block: MetricBlock): void
  /** Upper bound on pc - ps, a fraction from -1 to 1; 1 says that nothing is known. */
  upper(): number
  /** How much more it takes for the bound to come down to `budget`, if the candidate is as good as stable. */
  forecast(budget: number): Forecast | undefined
  standing(): Standing
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
  const pace = createPace()
  let upper: number | undefined = 1
  const standing = () => ({ lines: lines.map(line => ({ ...line })), target, phi: pace.phi() })

  return {
    step(block) {
      const phi = temper(block)
      pace.learn(block, phi)
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
    forecast: budget => pace.forecast(standing(), budget),
    standing,
  }
}

/**
 * The d in [-1, 1] at which the log-sum of the lines reaches the target, 1 where it does not. The log-sum increases with
 * d and is convex, so Newton's steps from the right of the root go down to it without passing it; bisection would find
 * the same in forty evaluations.
 */
function solve(lines: readonly Line[], target: number): number {
  // No single line is above the target at the root, so the first line to meet it is on the right of the root.
  let d = 1
  for (const line of lines) d = Math.min(d, (target - line.log) / line.slope)
  for (let step = 0; step < MAX_STEPS; step++) {
    const { value, slope } = logSumAt(lines, d)
    const over = value - target
    if (over < 0 && d === 1) return 1
    if (over <= slope * PRECISION) break
    d -= over / slope
  }
  return Math.max(-1, d)
}

const PRECISION = 1e-13
const MAX_STEPS = 50

/** The log-sum of the lines at d, and its derivative. */
function logSumAt(lines: readonly Line[], d: number): { readonly value: number; readonly slope: number } {
  let high = -Infinity
  for (const line of lines) high = Math.max(high, line.log + line.slope * d)
  let total = 0
  let slope = 0
  for (const line of lines) {
    const part = Math.exp(line.log + line.slope * d - high)
    total += part
    slope += part * line.slope
  }
  return { value: high + Math.log(total), slope: slope / total }
}
