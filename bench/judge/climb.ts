import { rolloutSpec } from '../../contract/rollout.ts'
import { createJudge, judgeOptions } from '../../controller/judge/judge.ts'
import { nextRampWeight } from '../../controller/judge/ladder.ts'
import { createLooks } from './looks.ts'
import { createRandom } from './random.ts'
import { handle } from './traffic.ts'

export interface Climb {
  readonly requestsPerSecond: number
  readonly rate: number
  readonly candidateRate?: number
  readonly riskBudgetPoints: number
  readonly fromPercent: number
  readonly pollSeconds: number
}

const TO_PERCENT = 95
/** The default deadline of a rollout. */
const LIMIT_SECONDS = 7200

/** How a ramp that follows the evidence ends: seconds until it reached each weight, the last 100. */
export function climb(
  settings: Climb,
  stream: { readonly seed: number; readonly ramp: number },
): Map<number, number> {
  const { requestsPerSecond, rate, candidateRate = rate, riskBudgetPoints, pollSeconds: seconds } = settings
  const riskBudget = riskBudgetPoints / 100
  const judge = createJudge(optionsOf(settings))
  const random = createRandom(stream.seed, stream.ramp)
  const scenario = { requestsPerSecond, at: () => ({ stable: rate, candidate: candidateRate }) }
  const looks = createLooks()
  const reached = new Map<number, number>()
  let weightPercent = settings.fromPercent
  judge.step(looks.first(weightPercent))
  for (let t = seconds; t <= LIMIT_SECONDS && weightPercent < 100; t += seconds) {
    const decision = judge.step(looks.next(handle(scenario, random, { t, seconds, weightPercent })))
    if (decision.action === 'withdraw') break
    if (!judge.endedBlock()) continue
    const next = nextRampWeight({ weightPercent, to: TO_PERCENT, bound: decision.u, riskBudget })
    if (next === undefined) continue
    weightPercent = next
    reached.set(next, t)
  }
  return reached
}

function optionsOf({ riskBudgetPoints, pollSeconds }: Climb) {
  const ramp = { riskBudget: `${riskBudgetPoints}pp`, to: TO_PERCENT }
  return judgeOptions(
    rolloutSpec.parse({
      route: 'r',
      modelVersion: '2',
      strategy: { canary: { steps: [{ ramp }] } },
      analysis: { interval: `${pollSeconds}s` },
    }),
  )
}

/** Median seconds until a weight was reached; undefined where half of the ramps did not. */
export function medianSecondsTo(percent: number, climbs: readonly Map<number, number>[]): number | undefined {
  const seconds = climbs.map(reached => reached.get(percent) ?? Infinity).toSorted((a, b) => a - b)
  const median = seconds[Math.floor(seconds.length / 2)]
  return median === undefined || median === Infinity ? undefined : median
}
