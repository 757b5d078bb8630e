import type { GateResult } from '../../../contract/gate.ts'
import { isMemoryExit } from '../../../contract/exit-record.ts'
import type { DeploymentFacts, SeenExit } from '../../runtime/facts.ts'
import type { DeploymentStatus } from '../../runtime/runtime.ts'
import { describeExits } from './resources.ts'

/** So many ends before it was ready are a loop, and no bad luck. Too much memory needs only one: it takes as much each time. */
const CRASH_LOOP = 3

/** What is seen of a version that is waited for. */
export interface Waiting {
  readonly status: DeploymentStatus
  readonly facts: DeploymentFacts
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly now: number
  readonly readyWithinMs: number
}

/**
 * Whether a version that is not ready yet will never be, as the failure of the gate that names the cause: a contract that does
 * not hold is integration's, everything that its processes do is resources'. Undefined: it is worth waiting.
 */
export function endOfWaiting(waiting: Waiting): GateResult | undefined {
  const { status, now, startedAt, readyWithinMs } = waiting
  if (status.kind === 'ready') return undefined
  if (status.kind === 'refused')
    return failed('integration', `it refuses to serve: ${status.reason}`, { ...waiting, evidence: null })
  const facts = factsSince(waiting.facts, startedAt)
  const own = ownExits(facts.exits)
  if (own.some(isMemoryExit) || own.length >= CRASH_LOOP) return failedByExits(facts, waiting)
  if (now - startedAt < readyWithinMs) return undefined
  const reason = 'reason' in status ? `: ${status.reason}` : ''
  const pending = facts.running
    ? `not ready after ${readyWithinMs / 1000} s${reason}`
    : `pending: no process of it runs`
  return failed('resources', own.length > 0 ? (describeExits(own) ?? pending) : pending, {
    ...waiting,
    evidence: resourcesEvidence(facts),
  })
}

/** The failure of a version whose process ended while it was measured; undefined while none did since then. */
export function endOfMeasuring(
  facts: DeploymentFacts,
  { startedAt, now }: { readonly startedAt: number; readonly now: number },
): GateResult | undefined {
  const since = factsSince(facts, startedAt)
  return ownExits(since.exits).length === 0 ? undefined : failedByExits(since, { startedAt, now })
}

/** What was deployed long ago, and kept warm, may have ended before: that says nothing about now. */
function factsSince(facts: DeploymentFacts, startedAt: number): DeploymentFacts {
  return { ...facts, exits: facts.exits.filter(({ at }) => at >= startedAt) }
}

function failedByExits(
  facts: DeploymentFacts,
  { startedAt, now }: { readonly startedAt: number; readonly now: number },
): GateResult {
  const reason = describeExits(facts.exits) ?? 'its process ended'
  const loop = ownExits(facts.exits).length >= CRASH_LOOP && !facts.exits.some(isMemoryExit)
  return failed('resources', `${loop ? 'crash loop: ' : ''}${reason}`, {
    startedAt,
    now,
    evidence: resourcesEvidence(facts),
  })
}

function ownExits(exits: readonly SeenExit[]): readonly SeenExit[] {
  return exits.filter(({ cause }) => cause !== 'unknown')
}

function resourcesEvidence({ exits, peakBytes }: DeploymentFacts): GateResult['evidence'] {
  const limitBytes = exits.findLast(exit => exit.limitBytes !== null)?.limitBytes ?? null
  return { gate: 'resources', requests: 0, loadedBytes: null, peakBytes, limitBytes, exits: [...exits] }
}

interface Failed {
  readonly startedAt: number
  readonly now: number
  readonly evidence: GateResult['evidence']
}

function failed(gate: string, reason: string, { startedAt, now, evidence }: Failed): GateResult {
  const iso = (ms: number) => new Date(ms).toISOString()
  return { gate, verdict: 'fail', reason, evidence, startedAt: iso(startedAt), endedAt: iso(now) }
}
