import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { GateResult } from '../../contract/gate.ts'
import { modelManifest } from '../../contract/model-manifest.ts'
import type { Clock } from '../../lib/clock.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Evidence } from '../evidence/evidence.ts'
import type { Registry } from '../registry/registry.ts'
import type { DeploymentObserver } from '../runtime/facts.ts'
import type { Running } from './environment-state.ts'
import type { Environments } from './environments.ts'
import { configuredGates } from './gates/configured-gates.ts'
import type { GateSubject } from './gates/gate.ts'
import { runGates } from './gates/run-gates.ts'
import type { Mirroring } from './gates/shadow.ts'
import type { PipelineSeen } from './pipeline-machine.ts'
import type { Run } from './pipeline-run.ts'

export interface PipelineGatesOptions {
  readonly environments: Pick<Environments, 'running'>
  readonly registry: Pick<Registry, 'fetch'>
  readonly runtime: DeploymentObserver
  readonly evidence: Evidence
  readonly mirroring: Mirroring
  /** Signs what webhooks are sent. */
  readonly secret: string
  /** Where the labelled photos of models lie. */
  readonly modelsDir: string
  readonly clock: Clock
}

interface Measuring {
  readonly results: GateResult[]
  complete: boolean
}

/** Measures what runs in staging for the run that brought it there. A controller that starts again begins the gates anew. */
export function createPipelineGates(options: PipelineGatesOptions) {
  const { environments, registry, runtime, evidence, mirroring, secret, modelsDir, clock } = options
  const measuring = new Map<string, Measuring>()

  async function subjectOf({ model, version, digest, outputs }: Run): Promise<GateSubject> {
    const running = environments.running('staging')
    if (running === null || running.revision !== outputs.stagingRevision)
      throw new Error(`staging does not run version ${version} any more`)
    const folder = await registry.fetch(model, version)
    const manifest = modelManifest.parse(JSON.parse(await readFile(join(folder, 'model.json'), 'utf8')))
    return {
      model,
      version,
      digest,
      endpoints: running.endpoints,
      folder,
      manifest,
      samples: join(modelsDir, model, 'samples'),
      facts: async () => factsOf(running),
      production: environments.running('production'),
    }
  }

  async function factsOf({ deployment, version }: Running) {
    const facts = deployment === null ? undefined : await runtime.facts(deployment)
    if (facts !== undefined) return facts
    throw new Error(`version ${version} is not deployed by this controller`)
  }

  async function measure(run: Run, into: Measuring, signal: AbortSignal): Promise<void> {
    const startedAt = new Date(clock.now()).toISOString()
    try {
      const subject = await subjectOf(run)
      const gates = configuredGates(run.settings.gates, { clock, secret, evidence, mirroring })
      await runGates({ gates, subject, clock, signal, onResult: result => into.results.push(result) })
    } catch (error) {
      const reason = describeProblem(error)
      const endedAt = new Date(clock.now()).toISOString()
      into.results.push({ gate: 'gates', verdict: 'error', reason, evidence: null, startedAt, endedAt })
    }
    into.complete = !signal.aborted
  }

  return {
    /** Begins to measure, unless that is under way. */
    begin(run: Run, signal: AbortSignal): void {
      if (measuring.has(run.id)) return
      const into: Measuring = { results: [], complete: false }
      measuring.set(run.id, into)
      void measure(run, into, signal)
    },
    seen: ({ id }: Run): PipelineSeen['gates'] => {
      const known = measuring.get(id)
      return known === undefined ? null : { results: [...known.results], complete: known.complete }
    },
    forget: ({ id }: Run) => void measuring.delete(id),
  }
}

export type PipelineGates = Pick<ReturnType<typeof createPipelineGates>, 'begin' | 'seen' | 'forget'>
