import { WeirError } from '../../contract/errors.ts'
import type { RolloutSpec } from '../../contract/rollout.ts'
import type { VersionLookup } from '../registry/registry.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { BASELINE } from './baseline.ts'
import type { Baseline, Replicas } from './replicas.ts'
import { ONE_EACH, type Enlarged, type Placement, type RolloutState } from './rollout-state.ts'

/** A deployment that the rollout which makes room had not made, and may have given more processes; they are no part of this one. */
export function enlargedBy(
  superseded: RolloutState | undefined,
  reused: string | undefined,
): Enlarged | null {
  if (superseded === undefined) return null
  const { deployment, previousCandidateEndpoints, enlarged } = superseded
  const left = deployment.own ? enlarged : { id: deployment.id, wanted: previousCandidateEndpoints.length }
  return left?.id === reused ? null : left
}

interface Beginning {
  /** Of the rollout. */
  readonly name: string
  readonly spec: Pick<RolloutSpec, 'route' | 'strategy'>
  readonly stable: Placement & { readonly model: string }
  /** The candidate's that run already, and run on when the rollout is withdrawn. */
  readonly reused: readonly string[]
  readonly variants: Readonly<Record<string, unknown>>
  readonly superseded: RolloutState | undefined
  readonly runtime: Runtime
  readonly registry: VersionLookup
}

/** How many processes there are, and are to be, when a rollout begins. Throws `conflict` where what it needs is not there. */
export async function firstReplicas(beginning: Beginning): Promise<Replicas> {
  const { spec, stable, reused } = beginning
  const { canary, blueGreen, ab } = spec.strategy
  const full = Math.max(1, stable.endpoints.length)
  const mayTakeAll = blueGreen !== undefined || ab?.by !== undefined
  const least = Math.max(mayTakeAll ? full : (canary?.replicas ?? 1), reused.length)
  const replicas = { ...ONE_EACH, full, least, candidate: least }
  if (stable.endpoints.length === 0) return replicas
  const rolling = canary?.rolling ? { stableId: await stableDeployment(beginning), stable: full } : null
  return { ...replicas, rolling, baseline: canary?.baseline ? await firstBaseline(beginning, least) : null }
}

/** Only what the controller runs can it replace, and only several of them one by one. */
async function stableDeployment({ spec: { route }, stable, runtime }: Beginning): Promise<string> {
  const [endpoint = ''] = stable.endpoints
  const running = runtime.at(endpoint)
  const status = running && (await runtime.status(running.id))
  const wanted = JSON.stringify(stable.endpoints.toSorted())
  if (running && status?.kind === 'ready' && JSON.stringify(status.endpoints.toSorted()) === wanted) {
    if (stable.endpoints.length > 1) return running.id
    throw new WeirError('conflict', `rolling needs at least two processes of stable on route ${route}`)
  }
  throw new WeirError(
    'conflict',
    `rolling needs stable of route ${route} to be the processes of one deployment of this controller, all of them ready`,
  )
}

async function firstBaseline(beginning: Beginning, least: number): Promise<Baseline> {
  const { name, spec, stable, variants, superseded, registry } = beginning
  const isLeft = superseded?.replicas.baseline || superseded?.leftOver?.variants.includes(BASELINE)
  if (Object.hasOwn(variants, BASELINE) && !isLeft)
    throw new WeirError(
      'conflict',
      `route ${spec.route} has a variant "${BASELINE}" already, which the rollout's own would replace`,
    )
  const { digest } = await registry.get(stable.model, stable.version)
  if (digest !== stable.digest)
    throw new WeirError(
      'conflict',
      `version ${stable.version} is ${digest} in the registry, and stable answers with ${stable.digest}: no baseline of it can be made`,
    )
  return { id: `${name}.${BASELINE}`, wanted: least, endpoints: [] }
}
