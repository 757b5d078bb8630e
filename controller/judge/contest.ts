import type { Ab } from '../../contract/ab.ts'
import type { ArmStanding, Decision, Look, Told } from '../../contract/history.ts'
import type { Grown } from '../evidence/growth.ts'
import { createAbTest } from './ab.ts'
import { createJudge, type Judge } from './judge.ts'
import type { JudgeOptions } from './options.ts'
import { createToldBlocks, NOTHING, sumTold } from './told.ts'

export interface ContestLook {
  readonly look: Look
  readonly grown: readonly Grown[]
  /** Those of the experiment so far. */
  readonly epochs: ReadonlySet<string>
  /** Users are dealt to the arm. */
  readonly takesPart: boolean
}

/** One arm against stable, the control: by what users tell, and by the harm that it does. */
export interface Contest {
  readonly variant: string
  step(look: ContestLook): void
  standing(): ArmStanding
  control(): Told
  /** The word of the judge of harm on the last look; undefined before the first. */
  judged(): Decision | undefined
  readonly harm: Judge
}

interface ContestOptions {
  readonly variant: string
  readonly goal: Ab['goal']
  /** How many arms are compared with the same control: each gets its part of every level. */
  readonly comparisons: number
}

const MAX_E = 1e300

export function createContest(
  options: JudgeOptions,
  { variant, goal, comparisons }: ContestOptions,
): Contest {
  const harm = createJudge({ ...options, alpha: options.alpha / comparisons })
  const test = createAbTest({ control: 'stable', arms: [variant], comparisons })
  const toldBlocks = createToldBlocks(goal, variant)
  const total = { arm: NOTHING, control: NOTHING }
  let hasBegun = false
  let isOut = true
  let isWorse = false
  let judged: Decision | undefined

  function verdictOf(): Pick<ArmStanding, 'verdict' | 'cause'> {
    if (judged?.action === 'withdraw') return { verdict: 'harm', cause: judged.cause }
    if (isWorse) return { verdict: 'worse', cause: 'feedback' }
    if (isOut) return { verdict: 'out', cause: null }
    return { verdict: test.standings()[0]?.verdict === 'better' ? 'better' : 'open', cause: null }
  }

  return {
    variant,
    harm,
    step({ look, grown, epochs, takesPart }) {
      isOut = !takesPart
      if (isOut && hasBegun) return // what its variant does now is another version's doing
      judged = harm.step(asCandidate(look, variant))
      if (isOut) return
      const isFirst = !hasBegun
      hasBegun = true
      if (isFirst) return // a part of what was counted since the last look is from before users were dealt
      for (const { arm, control } of toldBlocks(grown, epochs)) {
        test.step({ [variant]: arm, stable: control })
        total.arm = sumTold(total.arm, arm)
        total.control = sumTold(total.control, control)
      }
      isWorse ||= test.standings()[0]?.verdict === 'worse'
    },
    standing() {
      const [evidence] = test.standings()
      return {
        variant,
        ...verdictOf(),
        ...total.arm,
        better: toE(evidence?.logBetter ?? 0),
        worse: toE(evidence?.logWorse ?? 0),
        harm: judged?.e ?? 1,
        requests: judged?.exposure.candidate ?? 0,
      }
    },
    control: () => total.control,
    judged: () => judged,
  }
}

/** A look as the judge of harm takes it, which compares a candidate with stable. */
function asCandidate(look: Look, variant: string): Look {
  if (variant === 'candidate') return look
  const { stable = 0, [variant]: candidate = 0 } = look.weights
  const series = look.series.flatMap(one => {
    if (one.variant === 'stable') return [one]
    return one.variant === variant ? [{ ...one, variant: 'candidate' }] : []
  })
  return { ...look, weights: { stable, candidate }, series }
}

function toE(log: number): number {
  return Math.min(MAX_E, Math.exp(log))
}
