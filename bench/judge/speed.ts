import { rolloutSpec } from '../../contract/rollout.ts'
import { createBound } from '../../controller/judge/bound.ts'
import { createHarm, createRestartMass } from '../../controller/judge/harm.ts'
import { createJudge, judgeOptions } from '../../controller/judge/judge.ts'
import type { MetricBlock } from '../../controller/judge/temper.ts'
import { createLooks } from './looks.ts'
import { createRandom } from './random.ts'
import { handle } from './traffic.ts'

/** The whole judge over recorded looks with histograms, from counters to decisions. */
export function microsecondsPerLook(lookCount = 2000): number {
  const random = createRandom(1)
  const counted = createLooks()
  const scenario = { requestsPerSecond: 500, at: () => ({ stable: 0.01, candidate: 0.01 }) }
  const looks = Array.from({ length: lookCount }, (_, index) =>
    counted.next(handle(scenario, random, { t: (index + 1) * 5, seconds: 5, weightPercent: 10 })),
  )
  const judge = createJudge(judgeOptions(rolloutSpec.parse({ route: 'r', modelVersion: '2' })))
  const started = process.hrtime.bigint()
  for (const look of looks) judge.step(look)
  return Number(process.hrtime.bigint() - started) / 1000 / lookCount
}

/** One harm process and one bound alone. */
export function microsecondsAlone(steps = 100_000): { readonly harm: number; readonly bound: number } {
  const blocks = Array.from({ length: 100 }, (_, k): Omit<MetricBlock, 't'> => {
    return { counts: { xc: k % 3, nc: 50 + k, xs: k % 7, ns: 450 }, seconds: 5, weightsEpoch: 0 }
  })
  const time = (step: (block: MetricBlock) => void) => {
    const started = process.hrtime.bigint()
    for (let index = 0; index < steps; index++) {
      const block = blocks[index % blocks.length]
      if (block) step({ ...block, t: index * 5 })
    }
    return Number(process.hrtime.bigint() - started) / 1000 / steps
  }
  const harm = createHarm({ toleranceRatio: 1.1, restartMass: createRestartMass(1440) })
  const bound = createBound()
  return {
    harm: time(block => void harm.step(block)),
    bound: time(block => {
      bound.step(block)
      bound.upper()
    }),
  }
}
