import type { Contender } from './contender.ts'
import { normalCdf } from './traffic.ts'

/** The test of a textbook, on all counts so far, read at every look as if it were the only one. */
export function createZTest({ level = 0.01 } = {}): Contender {
  return {
    name: 'z-test each look',
    settings: `one-sided, level ${level}, pooled variance, all counts so far`,
    source: 'two-proportion z-test',
    start() {
      const sums = { xc: 0, nc: 0, xs: 0, ns: 0 }
      return ({ candidate, stable }) => {
        sums.xc += candidate.failures
        sums.nc += candidate.requests
        sums.xs += stable.failures
        sums.ns += stable.requests
        return 1 - normalCdf(zOf(sums)) < level
      }
    },
  }
}

function zOf({ xc, nc, xs, ns }: { xc: number; nc: number; xs: number; ns: number }): number {
  if (nc === 0 || ns === 0) return 0
  const pooled = (xc + xs) / (nc + ns)
  const deviation = Math.sqrt(pooled * (1 - pooled) * (1 / nc + 1 / ns))
  return deviation > 0 ? (xc / nc - xs / ns) / deviation : 0
}
