import type { RolloutState } from './rollout-state.ts'

/** What changed between two states, as the audit and the log tell it; undefined where nothing was decided. */
export function describeChange(
  before: RolloutState,
  after: RolloutState,
): { action: string; reason: string; evidence?: unknown } | undefined {
  const action = actionOf(before, after)
  if (action === undefined) return undefined
  const { lastDecision } = after
  if (lastDecision === null) return { action, reason: after.message }
  const { e, u, threshold, exposure } = lastDecision
  return { action, reason: after.message, evidence: { e, u, threshold, exposure } }
}

function actionOf(before: RolloutState, after: RolloutState): string | undefined {
  if (before.phase !== after.phase) return PHASE_ACTIONS[after.phase]
  if (before.weightBp !== after.weightBp) return 'set-weight'
  if (before.mirrorPercent !== after.mirrorPercent) return 'set-mirror'
  if (before.cause !== after.cause) return 'pause'
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
