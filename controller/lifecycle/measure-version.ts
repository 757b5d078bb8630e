import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { EnvironmentName } from '../../contract/environment.ts'
import type { GateResult, GateSettings } from '../../contract/gate.ts'
import { modelManifest } from '../../contract/model-manifest.ts'
import type { Clock } from '../../lib/clock.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Evidence } from '../evidence/evidence.ts'
import type { Registry } from '../registry/registry.ts'
import type { DeploymentObserver } from '../runtime/facts.ts'
import type { Environments } from './environments.ts'
import { configuredGates } from './gates/configured-gates.ts'
import type { GateSubject } from './gates/gate.ts'
import { runGates } from './gates/run-gates.ts'
import type { Mirroring } from './gates/shadow.ts'

export interface MeasureOptions {
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

export interface MeasuredPlace {
  readonly environment: EnvironmentName
  /** Of the deployment there; another one is not measured in its place. */
  readonly revision: number | null
  readonly model: string
  readonly version: string
  readonly digest: string
  readonly gates: GateSettings
}

interface Measuring {
  readonly onResult: (result: GateResult) => void
  readonly signal: AbortSignal
}

export type MeasureVersion = (place: MeasuredPlace, measuring: Measuring) => Promise<void>

/** Runs the gates on exactly one version where it runs. Never rejects: what stood in the way is a result, too. */
export function createMeasureVersion(options: MeasureOptions): MeasureVersion {
  const { environments, registry, runtime, evidence, mirroring, secret, modelsDir, clock } = options

  async function subjectOf({ environment, revision, ...of }: MeasuredPlace): Promise<GateSubject> {
    const { model, version, digest } = of
    const running = environments.running(environment)
    if (running === null || running.revision !== revision)
      throw new Error(`${environment} does not run version ${version} any more`)
    const { deployment, endpoints } = running
    const folder = await registry.fetch(model, version)
    const manifest = modelManifest.parse(JSON.parse(await readFile(join(folder, 'model.json'), 'utf8')))
    return {
      model,
      version,
      digest,
      endpoints,
      folder,
      manifest,
      samples: join(modelsDir, model, 'samples'),
      facts: async () => (deployment === null ? undefined : runtime.facts(deployment)),
      production: environments.running('production'),
    }
  }

  return async (place, { onResult, signal }) => {
    const startedAt = new Date(clock.now()).toISOString()
    try {
      const subject = await subjectOf(place)
      const gates = configuredGates(place.gates, { clock, secret, evidence, mirroring })
      await runGates({ gates, subject, clock, signal, onResult })
    } catch (error) {
      const reason = describeProblem(error)
      const endedAt = new Date(clock.now()).toISOString()
      onResult({ gate: 'gates', verdict: 'error', reason, evidence: null, startedAt, endedAt })
    }
  }
}
