import type { RolloutService } from '../rollouts/rollout-service.ts'
import type { RolloutStore } from '../rollouts/rollout-store.ts'
import type { Evidence } from '../evidence/evidence.ts'
import type { LifecycleOptions } from './lifecycle.ts'
import type { Environments } from './environments.ts'
import { createMirroring } from './mirroring.ts'
import { createEnvironmentStore } from './environment-store.ts'
import { createEnvironmentGates } from './environment-gates.ts'
import { createMeasureVersion } from './measure-version.ts'
import { createPipelineGates } from './pipeline-gates.ts'
import { createPipelineReconciler } from './pipeline-reconcile.ts'
import { createRegistrations } from './pipeline-registrations.ts'
import { createStarter } from './pipeline-start.ts'
import { createPipelineStore } from './pipeline-store.ts'
import { createPipelines } from './pipelines.ts'

export interface PipelineOptions extends Omit<LifecycleOptions, 'host' | 'settings' | 'rollouts'> {
  readonly rollouts: Pick<RolloutStore, 'get' | 'active'>
  readonly environments: Environments
  readonly service: Pick<RolloutService, 'prepareStart' | 'act'>
  readonly evidence: Evidence
  /** Signs what webhooks are sent. */
  readonly secret: string
  readonly modelsDir: string
}

/** The pipeline of the environments' model: what carries its runs forward, and what people and registrations ask of it. */
export function createPipeline(options: PipelineOptions) {
  const { store, where } = options
  const { route, model } = where
  const runs = createPipelineStore(store)
  const stored = createEnvironmentStore(store, model)
  const mirroring = createMirroring({ ...options, environments: stored, route })
  const measureVersion = createMeasureVersion({ ...options, mirroring })
  const gates = createPipelineGates(measureVersion)
  const environmentGates = createEnvironmentGates({ ...options, measureVersion, model })
  const reconciler = createPipelineReconciler({ ...options, runs, gates, route })
  const { nudge } = reconciler
  const starter = createStarter({ ...options, runs })
  const pipelines = createPipelines({ ...options, runs, starter, model, nudge })
  const registrations = createRegistrations({ ...options, runs, starter, model, nudge })
  return {
    pipelines,
    registrations,
    reconciler,
    environmentGates,
    async run(signal: AbortSignal): Promise<void> {
      await Promise.all([reconciler.run(signal), mirroring.run(signal), registrations.run(signal)])
      await environmentGates.stop()
    },
  }
}
