import type { GateResult } from '../../contract/gate.ts'
import type { DeploymentStatus } from '../runtime/runtime.ts'
import type { Placement, StableBefore } from './environment-state.ts'
import type { RegisteredAs } from './registered-as.ts'

/** What was seen of an environment at one look; everything that its next state depends on. */
export interface EnvironmentSeen {
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Every worker of the gateway applies exactly the routes that this state asks for. */
  readonly asWanted: boolean
  /** The deployment that is to take over. */
  readonly target: DeploymentStatus
  /** Why it will never be ready; null while it is worth waiting. */
  readonly ending: GateResult | null
  /** What answers at the environment's own route; null: nothing does. */
  readonly answer: { readonly version: string; readonly digest: string } | null
  /** Where the environment's alias points (null: nowhere); undefined: the registry could not be asked. */
  readonly alias: string | null | undefined
  /** What the registry has under the number that the alias is to lead to; undefined: it was not asked, or does not answer. */
  readonly registered: RegisteredAs | undefined
  /** What the public route leads to; null: the gateway does not say. */
  readonly publicRoute: PublicRoute | null
  /** What the public route leads to by somebody else's doing. */
  readonly found: Found | null
  /** Why something else there is not followed; null: nothing is there. Undefined: that is not known. */
  readonly held: string | null | undefined
  /** Why nothing is there any more of what ran; null: it is there, or may be. */
  readonly gone: string | null
}

export interface PublicRoute {
  readonly stable: StableBefore
  readonly candidate: readonly string[]
}

export interface Found {
  readonly placement: Placement
  readonly reason: string
  /** Why it counts as seen good; null: nobody has shown that. */
  readonly good: string | null
}
