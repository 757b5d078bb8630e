import { createServingClient } from '../../../client/serving.ts'
import { isMemoryExit } from '../../../contract/exit-record.ts'
import type { GateEvidence, ResourcesSettings } from '../../../contract/gate.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { DeploymentFacts, SeenExit } from '../../runtime/facts.ts'
import { createGate, type Gate, type GateSubject, type Measured } from './gate.ts'
import { applyLoad } from './load.ts'
import { requestsFor } from './serving-request.ts'

const SAMPLE_EVERY_MS = 200
const MIB = 2 ** 20

/** What the version takes while it answers, and whether its processes stayed alive. What it answers is not looked at. */
export function createResourcesGate(settings: ResourcesSettings, clock: Clock): Gate {
  return createGate('resources', clock, async (subject, signal) => {
    const limitMiB = Math.min(settings.memoryLimitMiB, subject.manifest.memoryLimitMiB)
    const loadedBytes = await memoryUnderLoad(subject, { settings, clock, signal })
    const facts = await subject.facts()
    if (facts === undefined) throw new Error(`version ${subject.version} is not deployed by this controller`)
    // of a command the process that stands in front of it says nothing
    const peakBytes = 'server' in subject.manifest ? null : facts.peakBytes
    const { requests } = settings
    return judgeResources({ requests, loadedBytes, peakBytes, limitBytes: limitMiB * MIB, ...exitsOf(facts) })
  })
}

function exitsOf({ exits, running }: DeploymentFacts) {
  return { exits, running }
}

interface Loading {
  readonly settings: ResourcesSettings
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Null when no process said how much it has. */
async function memoryUnderLoad(
  subject: GateSubject,
  { settings, clock, signal }: Loading,
): Promise<number | null> {
  const { endpoints } = subject
  const { requests, concurrent, requestTimeout: timeoutMs } = settings
  const kinds = await requestsFor(subject)
  const done = new AbortController()
  const sampling = sampleMemory(endpoints, clock, AbortSignal.any([done.signal, signal]))
  try {
    await applyLoad({ kinds, endpoints, requests, concurrent, timeoutMs }, signal)
  } finally {
    done.abort()
  }
  return sampling
}

async function sampleMemory(
  endpoints: readonly string[],
  clock: Clock,
  until: AbortSignal,
): Promise<number | null> {
  const clients = endpoints.map(baseUrl => createServingClient({ baseUrl }))
  let most: number | null = null
  for (;;) {
    const samples = await Promise.all(clients.map(client => client.residentBytes()))
    for (const bytes of samples) if (bytes !== null) most = Math.max(most ?? 0, bytes)
    if (until.aborted) return most
    await clock.sleep(SAMPLE_EVERY_MS, until)
  }
}

export interface ResourceFacts {
  readonly requests: number
  readonly loadedBytes: number | null
  readonly peakBytes: number | null
  readonly limitBytes: number
  readonly exits: readonly SeenExit[]
  readonly running: boolean
}

export function judgeResources({ running, exits, ...measured }: ResourceFacts): Measured {
  const { requests, loadedBytes, peakBytes, limitBytes } = measured
  const evidence: GateEvidence = { gate: 'resources', ...measured, exits: [...exits] }
  const fail = (reason: string): Measured => ({ verdict: 'fail', reason, evidence })
  const ended = describeExits(exits)
  if (ended !== undefined) return fail(ended)
  if (!running) return fail('pending: no process of it runs')
  const most = Math.max(loadedBytes ?? 0, peakBytes ?? 0)
  if (most === 0) return { verdict: 'error', reason: 'nobody could tell how much memory it has', evidence }
  const figures = `${inMiB(most)} MiB at most during ${requests} requests, limit ${inMiB(limitBytes)} MiB, no restart`
  return most > limitBytes
    ? fail(`too much memory: ${figures}`)
    : { verdict: 'pass', reason: figures, evidence }
}

/** The sentence about processes that ended; undefined while none did that this version answers for. */
export function describeExits(exits: readonly SeenExit[]): string | undefined {
  const own = exits.filter(({ cause }) => cause !== 'unknown') // nobody saw it: it may have been the machine's end
  const killed = own.findLast(isMemoryExit)
  if (killed) return describeOom(killed)
  const last = own.at(-1)
  if (last === undefined) return undefined
  const times = own.length === 1 ? 'once' : `${own.length} times`
  return `its process ended ${times}, last: ${last.reason} (not for memory)`
}

function describeOom({ cause, peakBytes, limitBytes, reason }: SeenExit): string {
  const by = cause === 'out-of-memory' ? 'the kernel' : 'its memory limit'
  const peak = peakBytes === null ? 'its peak is not known' : `${inMiB(peakBytes)} MiB at its peak`
  const limit = limitBytes === null ? '' : `, limit ${inMiB(limitBytes)} MiB`
  return `OOM: ended by ${by}, ${peak}${limit} (${reason})`
}

function inMiB(bytes: number): string {
  return (bytes / MIB).toFixed(0)
}
