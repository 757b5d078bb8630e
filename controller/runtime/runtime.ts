import type { Drill } from '../../contract/rollout.ts'
import type { ModelVersion } from '../registry/registry.ts'

export interface DeploymentSpec {
  /** Chosen by the caller; deploying the same id twice is one deployment. */
  readonly id: string
  readonly version: ModelVersion
  readonly drill?: Drill | undefined
  /** Only for the embedded runtime; a free one is chosen when absent. */
  readonly port?: number | undefined
}

export type DeploymentStatus =
  | { readonly kind: 'absent' }
  | { readonly kind: 'starting'; readonly endpoint: string; readonly reason: string }
  /** It runs and will never serve: the model itself is refused, and starting it again would not change that. */
  | { readonly kind: 'refused'; readonly endpoint: string; readonly reason: string }
  /** Seen answering with this digest just now. */
  | { readonly kind: 'ready'; readonly endpoint: string; readonly digest: string }

export interface Deployment {
  readonly id: string
  readonly model: string
  readonly version: string
  readonly endpoint: string
  /** A part of its answers fails or is slowed on purpose. */
  readonly drilled: boolean
}

/** What runs model servers. Embedded: processes of this machine; in a cluster: Deployments. */
export interface Runtime {
  /** Makes it so that the deployment runs, and returns its endpoint at once; readiness is `status`'s to tell. */
  deploy(spec: DeploymentSpec): Promise<{ endpoint: string }>
  status(id: string): Promise<DeploymentStatus>
  /** All that run or should run. */
  list(): readonly Deployment[]
  /** The deployment that answers at an endpoint, if it is one of ours. */
  at(endpoint: string): Deployment | undefined
  /** Stops it after `afterMs`, so that requests on their way to it can finish; lasts through a restart of the controller. */
  stop(id: string, afterMs?: number): void
  /** The last lines that the deployment logged. */
  logs(id: string): Promise<string>
  /** Looks after what runs until `signal` aborts. */
  supervise(signal: AbortSignal): Promise<void>
  /** Ends everything that runs; used when the whole of Weir stops. */
  stopAll(): Promise<void>
}
