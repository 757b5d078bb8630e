import { kSample, logMean } from './e-value.ts'

const ODDS_RATIOS: readonly number[] = [1.02, 1.05, 1.1, 1.2, 1.35, 1.6, 2, 3]
/** 2/0.05: 5 % over both directions and all looks. */
const THRESHOLD = 40

/** Feedback on one arm: how many gave it, and how many of those were the outcome that is wanted. */
interface Feedback {
  readonly successes: number
  readonly trials: number
}

interface ArmStanding {
  readonly arm: string
  /** Log e-values against "no better" and "no worse than the control". */
  readonly logBetter: number
  readonly logWorse: number
  readonly verdict: 'better' | 'worse' | 'undecided'
}

export interface AbTest {
  /**
   * New feedback since the last step, per arm, for users who were assigned under ONE epoch. Late feedback belongs to the
   * epoch of its assignment: mixed over a weight change it would be Simpson's paradox. Call once per epoch and look.
   */
  step(feedback: Readonly<Record<string, Feedback>>): void
  standings(): readonly ArmStanding[]
}

/** The e-value at which an arm is decided, where so many are compared with one control. */
export function abThreshold(comparisons: number): number {
  return THRESHOLD * comparisons
}

/**
 * Which of several arms does better than the control, decidable at any look. Each arm's e-value exceeds a threshold at any look
 * with probability at most its inverse while the arm is like the control (Ville), however the arms depend on each other through
 * the control that they share; so thresholds times the number of arms keep the chance of any decision at 5 % (union bound).
 */
export function createAbTest(options: {
  readonly control: string
  readonly arms: readonly string[]
  /** Where others are compared with the control in tests of their own: how many in all. */
  readonly comparisons?: number
}): AbTest {
  const logThreshold = Math.log(abThreshold(options.comparisons ?? options.arms.length))
  const tests = options.arms.map(arm => ({ arm, comparison: createComparison() }))
  return {
    step(feedback) {
      const control = feedback[options.control] ?? NO_FEEDBACK
      for (const { arm, comparison } of tests) comparison.step(feedback[arm] ?? NO_FEEDBACK, control)
    },
    standings: () =>
      tests.map(({ arm, comparison }) => ({ arm, ...verdictOf(comparison.logValues(), logThreshold) })),
  }
}

const NO_FEEDBACK: Feedback = { successes: 0, trials: 0 }

type Evidence = Pick<ArmStanding, 'logBetter' | 'logWorse'>

function verdictOf(evidence: Evidence, logThreshold: number): Omit<ArmStanding, 'arm'> {
  if (evidence.logBetter >= logThreshold) return { ...evidence, verdict: 'better' }
  if (evidence.logWorse >= logThreshold) return { ...evidence, verdict: 'worse' }
  return { ...evidence, verdict: 'undecided' }
}

/** One arm against the control. The base rate is plugged in from past feedback, so the first block only teaches. */
function createComparison() {
  const better = ODDS_RATIOS.map(oddsRatio => ({ oddsRatio, log: 0 }))
  const worse = ODDS_RATIOS.map(oddsRatio => ({ oddsRatio: 1 / oddsRatio, log: 0 }))
  let past: Feedback = NO_FEEDBACK

  return {
    step(arm: Feedback, control: Feedback) {
      if (past.trials > 0) {
        const baseRate = (past.successes + 0.5) / (past.trials + 1)
        for (const alternative of [...better, ...worse])
          alternative.log += logOfFeedback(arm, control, { baseRate, oddsRatio: alternative.oddsRatio })
      }
      past = {
        successes: past.successes + arm.successes + control.successes,
        trials: past.trials + arm.trials + control.trials,
      }
    },
    logValues: (): Evidence => ({
      logBetter: logMean(better.map(({ log }) => log)),
      logWorse: logMean(worse.map(({ log }) => log)),
    }),
  }
}

function logOfFeedback(
  arm: Feedback,
  control: Feedback,
  { baseRate, oddsRatio }: { readonly baseRate: number; readonly oddsRatio: number },
): number {
  const odds = (oddsRatio * baseRate) / (1 - baseRate)
  const armRate = odds / (1 + odds)
  return kSample(outcomes(arm), outcomes(control), {
    tc: [armRate, 1 - armRate],
    ts: [baseRate, 1 - baseRate],
  })
}

function outcomes({ successes, trials }: Feedback): readonly [number, number] {
  return [successes, trials - successes]
}
