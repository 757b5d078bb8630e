import type { RoutePolicy } from '../../contract/policy.ts'
import type { EndpointReport, EndpointState } from '../messages.ts'

/** What is known of one endpoint. Pure: the primary feeds it reports, probes and time. */
export interface EndpointHealth {
  readonly failuresInRow: number
  /** How often in a row it was ejected; each time is longer. */
  readonly ejections: number
  /** Milliseconds since the Unix epoch; undefined: it is not ejected. */
  readonly ejectedUntil: number | undefined
  readonly onTrial: boolean
  readonly probeFailures: number
  /** It has answered a request or a probe once. */
  readonly everHealthy: boolean
  readonly probedDown: boolean
}

export const UNKNOWN_HEALTH: EndpointHealth = {
  failuresInRow: 0,
  ejections: 0,
  ejectedUntil: undefined,
  onTrial: false,
  probeFailures: 0,
  everHealthy: false,
  probedDown: false,
}

type Ejection = RoutePolicy['ejection']

/** So many consecutive failures, and the endpoint is out for base x n; then a trial decides. */
export function afterReport(
  health: EndpointHealth,
  report: EndpointReport,
  ejection: Ejection,
  now: number,
): EndpointHealth {
  const answered = report.answered ? afterAnswer(health) : health
  if (report.failures === 0) return answered
  const failuresInRow = answered.failuresInRow + report.failures
  const enough = answered.onTrial || failuresInRow >= ejection.consecutiveFailures
  if (ejection.consecutiveFailures === 0 || answered.ejectedUntil !== undefined || !enough)
    return { ...answered, failuresInRow }
  const ejections = answered.ejections + 1
  const ejectedUntil = now + Math.min(ejection.baseMs * ejections, ejection.maxMs)
  return { ...answered, failuresInRow: 0, ejections, ejectedUntil, onTrial: false }
}

/** An answer during a trial ends it well; one that was under way when the endpoint was ejected says nothing new. */
function afterAnswer(health: EndpointHealth): EndpointHealth {
  const recovered = { ...health, failuresInRow: 0, everHealthy: true }
  return health.onTrial ? { ...recovered, onTrial: false, ejections: 0 } : recovered
}

export function afterProbe(health: EndpointHealth, healthy: boolean, unhealthyAfter: number): EndpointHealth {
  if (healthy) return { ...health, probeFailures: 0, probedDown: false, everHealthy: true }
  const probeFailures = health.probeFailures + 1
  return { ...health, probeFailures, probedDown: health.probedDown || probeFailures >= unhealthyAfter }
}

/** An ejection that has run out becomes a trial. */
export function afterTime(health: EndpointHealth, now: number): EndpointHealth {
  if (health.ejectedUntil === undefined || health.ejectedUntil > now) return health
  return { ...health, ejectedUntil: undefined, onTrial: true }
}

export function stateOf(health: EndpointHealth): EndpointState {
  if (health.ejectedUntil !== undefined || health.probedDown) return 'out'
  return health.onTrial ? 'trial' : 'up'
}

export function reasonOf(health: EndpointHealth): string | undefined {
  if (health.ejectedUntil !== undefined)
    return `ejected after failures until ${new Date(health.ejectedUntil).toISOString()}`
  if (health.probedDown) return 'its probe fails'
  if (health.onTrial) return 'one request at a time decides whether it is back'
  return health.everHealthy ? undefined : 'not seen healthy yet'
}
