import type { Decision, Look } from '../../contract/history.ts'
import type { MetricName } from '../../contract/metrics.ts'
import type { Strategy } from '../../contract/strategy.ts'
import { createGrowth, type Grown } from '../evidence/growth.ts'
import { createAbTest } from './ab.ts'
import { createJudge, type Judge } from './judge.ts'
import type { JudgeOptions } from './options.ts'
import { createSilentGate } from './silent-gate.ts'

type Goal = NonNullable<Strategy['ab']>['goal']

const FEEDBACK = 'weir_feedback_total' satisfies MetricName
const OUTCOMES = 'weir_outcomes_total' satisfies MetricName
const PREDICTIONS = 'weir_predictions_total' satisfies MetricName

export function goalCounters(goal: Goal): readonly MetricName[] {
  return 'label' in goal ? [FEEDBACK] : [OUTCOMES, PREDICTIONS]
}

const ARMS = ['stable', 'candidate'] as const

/**
 * Judges by what users say or do: the arm that serves them better wins, decidable at any look. Harm is watched all along, as in
 * a canary, and outranks what users like.
 */
export function createExperiment(options: JudgeOptions, { goal }: NonNullable<Strategy['ab']>): Judge {
  const harm = createJudge(options)
  const test = createAbTest({ control: 'stable', arms: ['candidate'] })
  const feedback = createFeedback(goal)
  let isWorse = false

  function decide(judged: Decision): Decision {
    const [standing] = test.standings()
    isWorse ||= standing?.verdict === 'worse'
    const told = `${feedback.describe()}; ${judged.reason}`
    if (judged.action === 'withdraw') return judged
    if (isWorse)
      return { ...judged, action: 'withdraw', cause: 'feedback', reason: `users do worse with it: ${told}` }
    const wins = standing?.verdict === 'better' && harm.holds().length === 0
    if (wins) return { ...judged, action: 'advance', reason: `users do better with it: ${told}` }
    return { ...judged, action: 'hold', reason: `undecided: ${told}` }
  }

  return {
    ...harm,
    step(look) {
      const judged = harm.step(look)
      for (const block of feedback.step(look)) test.step(block)
      return decide(judged)
    },
    ...createSilentGate(options),
    bounds: harm.bounds,
  }
}

interface Told {
  readonly successes: number
  readonly trials: number
}
type Block = Readonly<Record<string, Told>>

/**
 * What users told since the last look, epoch by epoch. Feedback on answers from before this experiment began belongs to other
 * versions, or to other shares of users, and is left out.
 */
function createFeedback(goal: Goal) {
  const grownBy = createGrowth()
  const epochs = new Set<string>()
  const total = { stable: { successes: 0, trials: 0 }, candidate: { successes: 0, trials: 0 } }
  const pending = { stable: { successes: 0, trials: 0 }, candidate: { successes: 0, trials: 0 } }

  function blocksOf(grown: readonly Grown[]): readonly Block[] {
    if ('label' in goal)
      return [...epochs].map(epoch => blockOf(arm => labelled(grown, { arm, epoch }))).filter(isTold)
    for (const arm of ARMS) {
      pending[arm].successes += sumOf(
        grown,
        one => isOutcome(one, goal.outcome, epochs) && one.variant === arm,
      )
      pending[arm].trials += sumOf(grown, one => one.name === PREDICTIONS && one.variant === arm)
    }
    // an outcome comes later than its prediction: what is ahead of it waits for the next look
    if (ARMS.some(arm => pending[arm].trials === 0 || pending[arm].successes > pending[arm].trials)) return []
    const block = blockOf(arm => ({ ...pending[arm] }))
    for (const arm of ARMS) pending[arm] = { successes: 0, trials: 0 }
    return [block]
  }

  return {
    step(look: Look): readonly Block[] {
      const grown = grownBy(look)
      if (look.epoch === undefined || (look.weights['candidate'] ?? 0) === 0) return []
      epochs.add(String(look.epoch))
      const blocks = blocksOf(grown)
      for (const block of blocks)
        for (const arm of ARMS) {
          total[arm].successes += block[arm]?.successes ?? 0
          total[arm].trials += block[arm]?.trials ?? 0
        }
      return blocks
    },
    describe: () =>
      ARMS.toReversed()
        .map(arm => `${arm} ${inWords(total[arm])}`)
        .join(', '),
  }
}

function blockOf(toldOf: (arm: (typeof ARMS)[number]) => Told): Block {
  return Object.fromEntries(ARMS.map(arm => [arm, toldOf(arm)]))
}

function isTold(block: Block): boolean {
  return Object.values(block).some(({ trials }) => trials > 0)
}

function labelled(
  grown: readonly Grown[],
  { arm, epoch }: { readonly arm: string; readonly epoch: string },
): Told {
  const own = grown.filter(
    ({ name, variant, labels }) => name === FEEDBACK && variant === arm && labels['epoch'] === epoch,
  )
  return {
    successes: sumOf(own, ({ labels }) => labels['correct'] === 'true'),
    trials: sumOf(own, () => true),
  }
}

function isOutcome({ name, labels }: Grown, outcome: string, epochs: ReadonlySet<string>): boolean {
  return name === OUTCOMES && labels['name'] === outcome && epochs.has(labels['epoch'] ?? '')
}

function sumOf(grown: readonly Grown[], counts: (one: Grown) => boolean): number {
  return grown.filter(counts).reduce((sum, { by }) => sum + by, 0)
}

function inWords({ successes, trials }: Told): string {
  return trials === 0 ? 'none' : `${successes} of ${trials} (${((100 * successes) / trials).toFixed(1)} %)`
}
