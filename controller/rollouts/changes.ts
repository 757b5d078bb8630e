import { newlyFallen } from './arms.ts'
import { notCounted, toRate } from './outlook.ts'
import { inWords } from './duration.ts'
import { isAnnounced, type Expectation, type Outlook, type RolloutState } from './rollout-state.ts'

export interface Change {
  readonly action: string
  readonly reason: string
  readonly evidence?: unknown
}

/** What was decided or became known between two states, as the audit and the log tell it. */
export function describeChanges(before: RolloutState, after: RolloutState): readonly Change[] {
  const warned = new Set(before.warnings.map(({ name }) => name))
  return [
    ...decided(before, after),
    ...(before.expectation === null && after.expectation !== null
      ? [expected(after.expectation, after.outlook)]
      : []),
    ...after.warnings
      .filter(({ name }) => !warned.has(name))
      .map(({ name, message }) => ({ action: 'warn', reason: `${name}: ${message}` })),
  ]
}

function decided(before: RolloutState, after: RolloutState): readonly Change[] {
  return [...ofArms(before, after), ...ofWhole(before, after)]
}

/** An experiment's arms that were withdrawn alone, and the one that won. */
function ofArms(before: RolloutState, after: RolloutState): Change[] {
  const { experiment, lastDecision } = after
  if (experiment === null) return []
  const { winner } = experiment
  return [
    ...newlyFallen(before, after).map(({ message }) => ({
      action: 'withdraw-arm',
      reason: message,
      evidence: lastDecision?.experiment,
    })),
    ...(winner !== null && winner !== (before.experiment?.winner ?? null)
      ? [{ action: 'winner', reason: lastDecision?.reason ?? winner, evidence: lastDecision?.experiment }]
      : []),
  ]
}

function ofWhole(before: RolloutState, after: RolloutState): readonly Change[] {
  const action = actionOf(before, after)
  if (action === undefined) return []
  const { lastDecision } = after
  if (lastDecision === null) return [{ action, reason: after.message }]
  const { e, u, threshold, exposure } = lastDecision
  return [{ action, reason: after.message, evidence: { e, u, threshold, exposure } }]
}

function expected({ seconds, requestsPerSecond }: Expectation, outlook: Outlook | null): Change {
  const rate = `at ${toRate(requestsPerSecond)} requests per second`
  const uncounted = outlook ? notCounted(outlook, []) : ''
  const reason =
    seconds === null
      ? `never done ${rate}, even if the candidate is as good as stable`
      : `about ${inWords(seconds)} ${rate}, if the candidate is as good as stable${uncounted}`
  return { action: 'expect', reason }
}

function actionOf(before: RolloutState, after: RolloutState): string | undefined {
  if (before.phase !== after.phase) return PHASE_ACTIONS[after.phase]
  if (after.cause === 'manual-change' && before.cause !== after.cause) return 'pause' // at weights that somebody else set
  if (before.weightBp !== after.weightBp) return 'set-weight'
  if (before.experiment?.isDealt !== after.experiment?.isDealt) return 'deal'
  if (before.mirrorPercent !== after.mirrorPercent) return 'set-mirror'
  if (before.cause !== after.cause) return 'pause'
  if (isAnnounced(after) && !isAnnounced(before)) return 'announce'
  return undefined
}

const PHASE_ACTIONS: Readonly<Record<RolloutState['phase'], string>> = {
  Pending: 'start',
  Progressing: 'progress',
  Paused: 'pause',
  Promoting: 'promote',
  Promoted: 'promoted',
  RollingBack: 'withdraw',
  RolledBack: 'rolled-back',
  Aborted: 'aborted',
  Superseded: 'superseded',
  Failed: 'failed',
}
