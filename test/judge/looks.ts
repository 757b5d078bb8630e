import type { Look } from '../../contract/history.ts'
import { rolloutSpec } from '../../contract/rollout.ts'
import { judgeOptions } from '../../controller/judge/judge.ts'
import type { JudgeOptions } from '../../controller/judge/options.ts'
import { createLooks } from '../../bench/judge/looks.ts'
import { createRandom } from '../../bench/judge/random.ts'
import { handle, type Scenario } from '../../bench/judge/traffic.ts'

export interface Simulated extends Scenario {
  readonly seed: number
  readonly looks: number
  readonly weightsPercent?: readonly number[]
  readonly secondsPerStep?: number
}

const SECONDS_PER_LOOK = 5

/** The looks of a simulated rollout that climbs through its weights by the clock. */
export function simulate({ seed, looks, ...scenario }: Simulated): Look[] {
  const { weightsPercent = [1, 5, 10, 25, 50, 95], secondsPerStep = 300 } = scenario
  const random = createRandom(seed)
  const counted = createLooks()
  const weightAt = (t: number) =>
    weightsPercent[Math.min(weightsPercent.length - 1, Math.floor(t / secondsPerStep))] ?? 0
  const later = Array.from({ length: looks - 1 }, (_, index) => {
    const start = index * SECONDS_PER_LOOK
    const moment = { t: start + SECONDS_PER_LOOK, seconds: SECONDS_PER_LOOK, weightPercent: weightAt(start) }
    return counted.next(handle(scenario, random, moment))
  })
  return [createLooks().first(weightAt(0)), ...later]
}

/** Options of a rollout whose ramp goes to 95 % at a risk of 0.5 percentage points. */
export function options(analysis: object = {}): JudgeOptions {
  return judgeOptions(
    rolloutSpec.parse({
      route: 'food11',
      modelVersion: '2',
      strategy: { canary: { steps: [{ ramp: { riskBudget: '0.5pp', to: 95 } }] } },
      analysis,
    }),
  )
}
