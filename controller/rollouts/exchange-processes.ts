import type { Drill } from '../../contract/rollout.ts'
import type { VersionLookup } from '../registry/registry.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { isJudged, type RolloutState } from './rollout-state.ts'

interface Exchanged {
  readonly state: RolloutState
  readonly drill: Drill | undefined
}

/** Where versions do not fit side by side, one is started only when the other is gone. Doing it again is doing nothing. */
export async function exchangeProcesses(
  runtime: Runtime,
  registry: VersionLookup,
  { state, drill }: Exchanged,
): Promise<void> {
  const { recreation, deployment, model, candidate, stable, phase } = state
  if (recreation === null) return
  const { stableId, stage, closedAt } = recreation
  const isGap = isJudged(state) && stage === 'closed' && closedAt !== null
  if (isGap && (await isGone(runtime, stableId)))
    await runtime.deploy({ id: deployment.id, version: await registry.get(model, candidate.version), drill })
  // not before every worker has closed the route: until then the new version has users
  const isWayBack = phase === 'RollingBack' && stage === 'closed'
  if (isWayBack && (await isGone(runtime, deployment.id))) {
    const [endpoint = ''] = stable.endpoints
    const port = Number(new URL(endpoint).port)
    await runtime.deploy({ id: stableId, version: await registry.get(model, stable.version), ports: [port] })
  }
}

async function isGone(runtime: Runtime, id: string): Promise<boolean> {
  if ((await runtime.status(id)).kind === 'absent') return true
  runtime.stop(id)
  return false
}
