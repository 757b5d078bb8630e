import type { Drill } from '../../contract/rollout.ts'
import type { LogPage } from '../../contract/logs.ts'
import type { ModelVersion } from '../registry/registry.ts'
import type { LogQuestion } from './log-lines.ts'

export interface DeploymentSpec {
  /** Chosen by the caller; deploying the same id twice is one deployment. */
  readonly id: string
  readonly version: Pick<ModelVersion, 'model' | 'version' | 'digest'>
  /** How many of them at least, one by default; `scale` says how many exactly. */
  readonly instances?: number | undefined
  readonly drill?: Drill | undefined
  /** Of each instance, where it is less than the manifest allows; `limitMemory` changes it. */
  readonly memoryLimitMiB?: number | undefined
  /** Of the first instances, only for the embedded runtime; free ones are chosen where absent. */
  readonly ports?: readonly number[] | undefined
}

/** Endpoints are in the order in which the instances were added. Those that are about to stop are none of them any more. */
export type DeploymentStatus =
  | { readonly kind: 'absent' }
  /** None is wanted any more, and not all have ended. */
  | { readonly kind: 'stopping' }
  | { readonly kind: 'starting'; readonly endpoints: readonly string[]; readonly reason: string }
  /** It runs and will never serve: the model itself is refused, and starting it again would not change that. */
  | { readonly kind: 'refused'; readonly endpoints: readonly string[]; readonly reason: string }
  /** All instances that are wanted were seen answering with this digest just now. */
  | { readonly kind: 'ready'; readonly endpoints: readonly string[]; readonly digest: string }

export interface Deployment {
  readonly id: string
  readonly model: string
  readonly version: string
  /** Also of instances that are about to stop: they are there still. */
  readonly endpoints: readonly string[]
  /** A part of its answers fails or is slowed on purpose. */
  readonly drilled: boolean
}

/** What runs model servers. Embedded: processes of this machine; in a cluster: Deployments. */
export interface Runtime {
  /** Makes it so that the deployment runs, and returns its endpoints at once; readiness is `status`'s to tell. */
  deploy(spec: DeploymentSpec): Promise<{ endpoints: readonly string[] }>
  /**
   * Makes it so many instances of a deployment that there is: the ones added last stop first, after `afterMs`, so that requests
   * on their way to them can finish. Asking again changes nothing.
   */
  scale(id: string, instances: number, afterMs?: number): Promise<void>
  /** How much memory each instance may have, where that is less than its manifest allows; null: as that says. */
  limitMemory(id: string, limitMiB: number | null): void
  status(id: string): Promise<DeploymentStatus>
  /** All that run or should run. */
  list(): readonly Deployment[]
  /** The deployment that answers at an endpoint, if it is one of ours. */
  at(endpoint: string): Deployment | undefined
  /** Stops all of it after `afterMs`, so that requests on their way to it can finish; lasts through a restart of the controller. */
  stop(id: string, afterMs?: number): void
  /** What processes of a version wrote, also of those that are no more; nothing of a version that never ran. */
  logs(model: string, version: string, question?: LogQuestion): Promise<LogPage>
  /** Looks after what runs until `signal` aborts. */
  supervise(signal: AbortSignal): Promise<void>
  /** Ends everything that runs; used when the whole of Weir stops. */
  stopAll(): Promise<void>
}
