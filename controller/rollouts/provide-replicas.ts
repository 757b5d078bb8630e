import type { Drill } from '../../contract/rollout.ts'
import type { VersionLookup } from '../registry/registry.ts'
import type { DeploymentStatus, Runtime } from '../runtime/runtime.ts'
import type { FurtherArm } from './arms.ts'
import { DRAIN_MS } from './capacity.ts'
import { lacking } from './replicas.ts'
import { isJudged, type RolloutState } from './rollout-state.ts'

// More processes are started before the policy sends them traffic, and fewer are left after it does not any more. Both follow
// from the state alone, and doing it again is doing nothing.

export interface ReplicaStatuses {
  readonly candidate: DeploymentStatus
  readonly stable: DeploymentStatus | undefined
  readonly baseline: DeploymentStatus | undefined
}

/** Asks for those that are waited for. */
export async function askReplicas(runtime: Runtime, state: RolloutState): Promise<ReplicaStatuses> {
  const { replicas, deployment, phase } = state
  const { rolling, baseline } = replicas
  const isWaiting = phase === 'Pending' || Object.values(lacking(state)).includes(true)
  const isBack = phase === 'RollingBack' && (rolling !== null || !deployment.own)
  const [ofCandidate, ofStable, ofBaseline] = await Promise.all([
    isWaiting || isBack ? runtime.status(deployment.id) : NOT_ASKED,
    rolling !== null && (isWaiting || isBack) ? runtime.status(rolling.stableId) : undefined,
    baseline !== null && isWaiting ? runtime.status(baseline.id) : undefined,
  ])
  return { candidate: ofCandidate, stable: ofStable, baseline: ofBaseline }
}

const NOT_ASKED: DeploymentStatus = { kind: 'absent' }

/** Before the policy. */
export async function raiseReplicas(
  runtime: Runtime,
  registry: VersionLookup,
  { state, drill }: { readonly state: RolloutState; readonly drill: Drill | undefined },
): Promise<void> {
  const { replicas, deployment, model, candidate, stable, phase, recreation } = state
  const { rolling, baseline } = replicas
  if (recreation !== null) return
  const lacks = lacking(state)
  const isEnding = phase === 'RollingBack'
  const deploy = async (
    id: string,
    wanted: { version: string; instances: number; drill?: Drill | undefined },
  ) => {
    const version = await registry.get(model, wanted.version)
    await runtime.deploy({ id, ...wanted, version })
  }
  const instances = replicas.candidate
  if (lacks.candidate && !isEnding)
    await deploy(deployment.id, { version: candidate.version, instances, drill })
  if (rolling && lacks.stable)
    await deploy(rolling.stableId, { version: stable.version, instances: rolling.stable })
  if (baseline && lacks.baseline && !isEnding)
    await deploy(baseline.id, { version: stable.version, instances: baseline.wanted })
}

/** After the policy says so in every worker. */
export async function lowerReplicas(runtime: Runtime, state: RolloutState): Promise<void> {
  const running = runtime.list()
  for (const { id, wanted } of wantedOf(state)) {
    const present = running.find(deployment => deployment.id === id)?.endpoints.length ?? 0
    if (present > wanted) await runtime.scale(id, wanted, DRAIN_MS)
  }
}

function wantedOf(state: RolloutState) {
  const { replicas, deployment, phase, recreation, experiment, enlarged } = state
  const ofPredecessor = enlarged === null ? [] : [enlarged]
  if (recreation !== null || phase === 'Pending') return ofPredecessor
  const { rolling, baseline } = replicas
  return [
    ...ofPredecessor,
    { id: deployment.id, wanted: replicas.candidate },
    ...(rolling ? [{ id: rolling.stableId, wanted: rolling.stable }] : []),
    ...(baseline ? [{ id: baseline.id, wanted: baseline.wanted }] : []),
    ...(isJudged(state) ? (experiment?.others ?? []).map(armWanted) : []),
  ]
}

function armWanted({ deployment: { id }, replicas }: FurtherArm) {
  return { id, wanted: replicas }
}
