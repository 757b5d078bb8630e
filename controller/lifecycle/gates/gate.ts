import { createServingClient } from '../../../client/serving.ts'
import type { GateEvidence, GateResult } from '../../../contract/gate.ts'
import type { CustomManifest, ModelManifest } from '../../../contract/model-manifest.ts'
import type { Clock } from '../../../lib/clock.ts'
import { describeProblem } from '../../../lib/problem.ts'
import type { DeploymentFacts } from '../../runtime/facts.ts'

/** A version that is deployed and ready, and what it is compared with. */
export interface GateSubject {
  readonly model: string
  readonly version: string
  readonly digest: string
  /** Of all its instances. */
  readonly endpoints: readonly string[]
  /** With model.json and what belongs to it. */
  readonly folder: string
  readonly manifest: ModelManifest | CustomManifest
  /** Labelled photos of the model. */
  readonly samples: string
  /** Undefined: this controller did not start it, and knows nothing of its processes. */
  facts(): Promise<DeploymentFacts | undefined>
  /** Null: nothing is in production. */
  readonly production: ServedVersion | null
}

export interface ServedVersion {
  readonly version: string
  readonly digest: string
  readonly endpoints: readonly string[]
}

export interface Gate {
  readonly name: string
  /** Never rejects: what went wrong is a result, too. */
  run(subject: GateSubject, signal: AbortSignal): Promise<GateResult>
}

export type Measured = Pick<GateResult, 'verdict' | 'reason'> & { readonly evidence: GateEvidence | null }
export type Measure = (subject: GateSubject, signal: AbortSignal) => Promise<Measured>

/** A gate around what measures: only what was measured on exactly this version counts, so it is looked at before and after. */
export function createGate(name: string, clock: Clock, measure: Measure): Gate {
  async function measureExactly(subject: GateSubject, signal: AbortSignal): Promise<Measured> {
    try {
      await requireExactly(subject, subject.endpoints)
      const measured = await measure(subject, signal)
      if (signal.aborted) return errorOf('it was stopped')
      await requireExactly(subject, subject.endpoints)
      return measured
    } catch (error) {
      return errorOf(signal.aborted ? 'it was stopped' : describeProblem(error))
    }
  }
  return {
    name,
    async run(subject, signal) {
      const startedAt = isoTime(clock)
      const measured = await measureExactly(subject, signal)
      return { gate: name, ...measured, startedAt, endedAt: isoTime(clock) }
    },
  }
}

function errorOf(reason: string): Measured {
  return { verdict: 'error', reason, evidence: null }
}

function isoTime(clock: Clock): string {
  return new Date(clock.now()).toISOString()
}

/** Throws unless each endpoint answers /version with this digest. */
export async function requireExactly(
  { version, digest }: Pick<ServedVersion, 'version' | 'digest'>,
  endpoints: readonly string[],
): Promise<void> {
  if (endpoints.length === 0) throw new Error(`version ${version} has no endpoint`)
  await Promise.all(
    endpoints.map(async baseUrl => {
      const answered = await createServingClient({ baseUrl }).version()
      if (answered.digest === digest) return
      throw new Error(
        `${baseUrl} answers as version ${answered.model_version} with ${answered.digest}, not as ${version} with ${digest}`,
      )
    }),
  )
}
