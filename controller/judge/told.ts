import type { Told } from '../../contract/history.ts'
import type { MetricName } from '../../contract/metrics.ts'
import type { Ab } from '../../contract/ab.ts'
import type { Grown } from '../evidence/growth.ts'

type Goal = Ab['goal']

const FEEDBACK = 'weir_feedback_total' satisfies MetricName
const OUTCOMES = 'weir_outcomes_total' satisfies MetricName
const PREDICTIONS = 'weir_predictions_total' satisfies MetricName

export function goalCounters(goal: Goal): readonly MetricName[] {
  return 'label' in goal ? [FEEDBACK] : [OUTCOMES, PREDICTIONS]
}

/** What users of an arm and of the control told meanwhile. */
export interface ToldBlock {
  readonly arm: Told
  readonly control: Told
}

/** The control, in every experiment. */
const CONTROL = 'stable'

/**
 * What users told of one arm and of the control since the last look, epoch by epoch. Feedback on answers from before the
 * experiment began belongs to other versions, or to other shares of users, and is left out.
 */
export function createToldBlocks(goal: Goal, variant: string) {
  return 'label' in goal ? labelBlocks(variant) : outcomeBlocks(variant, goal.outcome)
}

type ToldBlocks = (grown: readonly Grown[], epochs: ReadonlySet<string>) => readonly ToldBlock[]

function labelBlocks(variant: string): ToldBlocks {
  return (grown, epochs) =>
    [...epochs]
      .map(epoch => ({
        arm: labelled(grown, { variant, epoch }),
        control: labelled(grown, { variant: CONTROL, epoch }),
      }))
      .filter(({ arm, control }) => arm.trials + control.trials > 0)
}

/** An outcome comes later than its prediction: what is ahead of it waits for the next look. */
function outcomeBlocks(variant: string, outcome: string): ToldBlocks {
  let pending: ToldBlock = { arm: NOTHING, control: NOTHING }
  return (grown, epochs) => {
    const more = (of: string, { successes, trials }: Told): Told => ({
      successes: successes + sumOf(grown, one => isOutcome(one, outcome, epochs) && one.variant === of),
      trials: trials + sumOf(grown, one => one.name === PREDICTIONS && one.variant === of),
    })
    pending = { arm: more(variant, pending.arm), control: more(CONTROL, pending.control) }
    const block = pending
    if ([block.arm, block.control].some(({ successes, trials }) => trials === 0 || successes > trials))
      return []
    pending = { arm: NOTHING, control: NOTHING }
    return [block]
  }
}

export const NOTHING: Told = { successes: 0, trials: 0 }

export function sumTold(a: Told, b: Told): Told {
  return { successes: a.successes + b.successes, trials: a.trials + b.trials }
}

function labelled(
  grown: readonly Grown[],
  { variant, epoch }: { readonly variant: string; readonly epoch: string },
): Told {
  const own = grown.filter(
    one => one.name === FEEDBACK && one.variant === variant && one.labels['epoch'] === epoch,
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
