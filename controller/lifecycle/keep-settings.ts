import { ENVIRONMENTS, type EnvironmentName, type EnvironmentSettings } from '../../contract/environment.ts'
import type { RoutePolicy } from '../../contract/policy.ts'
import type { RecordedGateway } from '../recorded-gateway.ts'
import type { RolloutStore } from '../rollouts/rollout-store.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { sameEndpoints, type Place, type RoutePatch } from './environment-routes.ts'
import type { EnvironmentState } from './environment-state.ts'
import type { EnvironmentStore } from './environment-store.ts'

export interface KeepSettingsOptions {
  readonly environments: EnvironmentStore
  readonly rollouts: Pick<RolloutStore, 'active'>
  readonly gateway: RecordedGateway
  readonly runtime: Pick<Runtime, 'list' | 'status' | 'scale' | 'limitMemory'>
  readonly places: Readonly<Record<EnvironmentName, Place>>
  readonly settings: EnvironmentSettings
  /** Into the audit. */
  readonly record: (name: EnvironmentName, told: { action: string; reason: string }) => void
  readonly transaction: (work: () => void) => void
  readonly drainMs: number
}

/**
 * What environments.yaml says of an environment's processes holds for whatever runs there, however it came: as many instances,
 * each with so much memory. Nothing is changed while a rollout is under way on the public route, which counts processes itself.
 */
export function createSettingsKeeper(options: KeepSettingsOptions) {
  const { environments, rollouts, gateway, runtime, places, settings, record, transaction, drainMs } = options
  const limits = new Map<string, number | null>()

  /** What canary tried out and production took over is production's. */
  function isProductions({ name, current }: EnvironmentState): boolean {
    if (name === 'production') return false
    const { current: inProduction } = environments.get('production').state
    return inProduction !== null && inProduction.deployment === current?.deployment
  }

  function limitMemory(id: string, limitMiB: number | null): void {
    if (limits.get(id) === limitMiB) return
    runtime.limitMemory(id, limitMiB)
    limits.set(id, limitMiB)
  }

  async function keepInstances(state: EnvironmentState, id: string, instances: number): Promise<void> {
    const status = await runtime.status(id)
    if (status.kind === 'absent' || status.kind === 'stopping') return
    const { endpoints } = status
    if (endpoints.length < instances) {
      await runtime.scale(id, instances)
      return tellScale(state, endpoints.length, instances)
    }
    if (status.kind !== 'ready') return
    const wanted = endpoints.slice(0, instances)
    if (!(await lead(state, endpointsOf(id), wanted))) return // what requests are still led to goes on
    if (endpoints.length === instances) return
    await runtime.scale(id, instances, drainMs)
    tellScale(state, endpoints.length, instances)
  }

  function endpointsOf(id: string): readonly string[] {
    return runtime.list().find(deployment => deployment.id === id)?.endpoints ?? []
  }

  function tellScale({ name, current }: EnvironmentState, from: number, to: number): void {
    const reason = `version ${current?.version}: ${to} instances in place of ${from}, as environments.yaml says`
    transaction(() => record(name, { action: 'scaled', reason }))
  }

  /** Leads whatever leads to the deployment to exactly these of its instances; false while the gateway has yet to say so. */
  async function lead(
    { name, current }: EnvironmentState,
    all: readonly string[],
    wanted: readonly string[],
  ): Promise<boolean> {
    const views = await gateway.routes()
    let isLed = true
    for (const { policy, version } of views) {
      const patch = patchOf(policy, all, wanted)
      if (patch === undefined) continue
      isLed = false
      if (!isAtRest(name)) return false // something began while the gateway was asked
      const reason = `${name} runs ${wanted.length} instances of version ${current?.version}`
      await gateway.patchRoute(patch.route, patch.patch, {
        ifMatch: version,
        subject: `environment/${name}`,
        reason,
      })
    }
    if (!isLed) return false
    transaction(() => remember(current?.deployment ?? null, wanted))
    return true
  }

  function remember(deployment: string | null, endpoints: readonly string[]): void {
    for (const name of ENVIRONMENTS) {
      const { state } = environments.get(name)
      const { current, work } = state
      if (work !== null || current === null || current.deployment !== deployment) continue
      if (!sameEndpoints(current.endpoints, endpoints))
        environments.save({ ...state, current: { ...current, endpoints } })
    }
  }

  function isAtRest(name: EnvironmentName): boolean {
    const { route } = places.production
    if (name !== 'staging' && rollouts.active().some(rollout => rollout.route === route)) return false
    return environments.get(name).state.work === null
  }

  return async (state: EnvironmentState): Promise<void> => {
    const { name, current } = state
    const id = current?.deployment ?? null
    if (id === null || isProductions(state) || !isAtRest(name)) return
    const { instances, memoryLimitMiB } = settings[name]
    limitMemory(id, memoryLimitMiB ?? null)
    if (instances !== undefined) await keepInstances(state, id, instances)
  }
}

/** Of the variants that lead to nothing but this deployment. Undefined: they say so already. */
function patchOf(
  { name, variants }: RoutePolicy,
  all: readonly string[],
  endpoints: readonly string[],
): RoutePatch | undefined {
  const others = Object.entries(variants).filter(
    ([, variant]) =>
      variant.endpoints.length > 0 &&
      variant.endpoints.every(endpoint => all.includes(endpoint)) &&
      !sameEndpoints(variant.endpoints, endpoints),
  )
  if (others.length === 0) return undefined
  return {
    route: name,
    patch: { variants: Object.fromEntries(others.map(([variant]) => [variant, { endpoints }])) },
  }
}
