import type { EnvironmentPlaces, EnvironmentSettings } from '../../contract/environment.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Audit } from '../audit.ts'
import type { RecordedGateway } from '../recorded-gateway.ts'
import type { Registry } from '../registry/registry.ts'
import type { RolloutStore } from '../rollouts/rollout-store.ts'
import type { DeploymentObserver } from '../runtime/facts.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Store } from '../store.ts'
import { createEnvironmentReconciler } from './environment-reconcile.ts'
import { placeOf } from './environment-routes.ts'
import { createEnvironmentStore } from './environment-store.ts'
import { createEnvironments } from './environments.ts'
import { doubtsAboutApproval } from './pipeline-approvers.ts'
import { createPipelineStore } from './pipeline-store.ts'

export interface LifecycleOptions {
  readonly store: Store
  readonly rollouts: Pick<RolloutStore, 'active' | 'list'>
  readonly audit: Audit
  readonly gateway: RecordedGateway
  readonly runtime: Runtime & DeploymentObserver
  readonly registry: Registry
  readonly where: EnvironmentPlaces
  /** Where the gateway's listeners are reached. */
  readonly host: string
  readonly settings: EnvironmentSettings
  readonly clock: Clock
  readonly log: Log
}

/** The environments of one route: what carries them forward, and what operators ask of them. */
export function createLifecycle(options: LifecycleOptions) {
  const { store, where, host } = options
  const environments = createEnvironmentStore(store, where.model)
  const places = {
    staging: placeOf('staging', where, host),
    canary: placeOf('canary', where, host),
    production: placeOf('production', where, host),
  }
  const reconciler = createEnvironmentReconciler({ ...options, environments, places })
  return {
    environments: createEnvironments({
      ...options,
      environments,
      places,
      reconciler,
      doubtsAboutApproval: doubtsAboutApproval(createPipelineStore(store)),
    }),
    reconciler,
    run: reconciler.run,
  }
}
