import { newlyFallen } from '../rollouts/arms.ts'
import type { ChangeListener } from '../rollouts/hooks.ts'
import { isAnnounced, isOver, type PauseCause, type RolloutState } from '../rollouts/rollout-state.ts'
import type { StoredRollout } from '../rollouts/rollout-store.ts'
import type { Alerts, Finding } from './alerts.ts'

/** What of a rollout somebody must hear of: alerts stand until they are resolved, events are told once. */
type RolloutNotice =
  | { readonly kind: 'raise' | 'event'; readonly finding: Finding }
  | { readonly kind: 'resolve'; readonly summary: string }

/** Pauses that nobody planned: the rollout goes on only when somebody comes. */
const UNPLANNED: ReadonlySet<string> = new Set([
  'manual-change',
  'deadline',
  'metric-error',
] satisfies PauseCause[])

/** Pure. */
function noticesOf(before: RolloutState | undefined, after: StoredRollout): readonly RolloutNotice[] {
  const { name, route, state } = after
  const labels = { rollout: name, route, version: state.candidate.version }
  const notices: RolloutNotice[] = []
  const waited = before !== undefined && waitsForSomebody(before)
  if (waitsForSomebody(state) && !(waited && before.cause === state.cause)) {
    if (waited) notices.push({ kind: 'resolve', summary: 'it waits for something else now' })
    notices.push({ kind: 'raise', finding: finding('WeirRolloutPaused', 'warning', 'paused') })
  }
  if (waited && !waitsForSomebody(state))
    notices.push({ kind: 'resolve', summary: `the rollout is ${state.phase}: ${state.message}` })
  if (state.phase === 'RollingBack' && before?.phase !== 'RollingBack')
    notices.push({ kind: 'event', finding: finding('WeirRolloutWithdrawn', 'warning', 'withdrawn') })
  for (const { variant, cause, message } of newlyFallen(before, state)) {
    const summary = `rollout ${name} goes on without ${variant} (${cause}): ${message}`
    const alert = {
      alert: 'WeirArmWithdrawn',
      severity: 'warning',
      labels: { rollout: name, route, variant },
    } as const
    notices.push({ kind: 'event', finding: { ...alert, summary } })
  }
  if (isAnnounced(state) && !(before && isAnnounced(before)))
    notices.push({ kind: 'event', finding: finding('WeirInterruptionAnnounced', 'info', 'announced') })
  if (state.phase === 'Promoted' && before?.phase !== 'Promoted')
    notices.push({ kind: 'event', finding: finding('WeirRolloutPromoted', 'info', 'promoted') })
  return notices

  function finding(alert: string, severity: Finding['severity'], what: string): Finding {
    const cause = state.cause === null ? '' : ` (${state.cause})`
    return { alert, severity, labels, summary: `rollout ${name} ${what}${cause}: ${state.message}` }
  }
}

function waitsForSomebody(state: RolloutState): boolean {
  return !isOver(state) && state.phase === 'Paused' && UNPLANNED.has(state.cause ?? '')
}

/** Hears of every change of a rollout, in the decision's own transaction. */
export function alertOnRollouts(alerts: Alerts): ChangeListener {
  return (before, after) => {
    const key = `rollout/${after.name}/paused`
    for (const notice of noticesOf(before?.state, after)) {
      if (notice.kind === 'raise') alerts.raise(key, notice.finding)
      else if (notice.kind === 'resolve') alerts.resolve(key, notice.summary)
      else alerts.tell(notice.finding)
    }
  }
}
