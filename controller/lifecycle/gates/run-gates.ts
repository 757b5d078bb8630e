import { createServingClient } from '../../../client/serving.ts'
import type { GateResult } from '../../../contract/gate.ts'
import type { Clock } from '../../../lib/clock.ts'
import { endOfMeasuring } from './end-of-version.ts'
import type { Gate, GateSubject } from './gate.ts'

export interface GateRun {
  readonly gates: readonly Gate[]
  readonly subject: GateSubject
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Of each gate as it ends. */
  readonly onResult?: (result: GateResult) => void
}

/** A process that breaks answers what it has before it ends. */
const ENDING_LIMIT_MS = 25_000
const LOOK_EVERY_MS = 250

/**
 * One gate after the other until one does not pass: the later ones do not run then, and the last result says why. Whatever a gate
 * measured on a version whose process ended meanwhile is worth nothing, a pass neither; that end is the result then.
 */
export async function runGates({ gates, subject, clock, signal, onResult }: GateRun): Promise<GateResult[]> {
  const results: GateResult[] = []
  const add = (result: GateResult) => {
    results.push(result)
    onResult?.(result)
  }
  const startedAt = clock.now()
  for (const gate of gates) {
    const result = await gate.run(subject, signal)
    const ended = await endedMeanwhile(subject, { clock, signal, startedAt })
    if (ended === undefined) add(result)
    else if (gate.name === ended.gate) add(ended)
    else {
      add({ ...result, verdict: 'error', reason: `${result.reason}; its process ended meanwhile` })
      add(ended)
    }
    if (ended !== undefined || result.verdict !== 'pass') break
  }
  return results
}

interface Ending {
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly startedAt: number
}

/** An end may take a moment to be seen, so it is waited for while the version does not answer. */
async function endedMeanwhile(
  subject: GateSubject,
  { clock, signal, startedAt }: Ending,
): Promise<GateResult | undefined> {
  const clients = subject.endpoints.map(baseUrl => createServingClient({ baseUrl }))
  const until = clock.now() + ENDING_LIMIT_MS
  for (;;) {
    const now = clock.now()
    const facts = await subject.facts()
    if (facts === undefined) return undefined
    const ended = endOfMeasuring(facts, { startedAt, now })
    if (ended !== undefined || signal.aborted || now > until) return ended
    const readiness = await Promise.all(clients.map(client => client.ready()))
    if (readiness.every(({ state }) => state === 'ready')) return undefined
    await clock.sleep(LOOK_EVERY_MS, signal)
  }
}
