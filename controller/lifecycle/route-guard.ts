import type { GatewayClient } from '../../client/gateway.ts'
import type { EnvironmentName } from '../../contract/environment.ts'
import { WeirError } from '../../contract/errors.ts'
import type { RolloutStore, StoredRollout } from '../rollouts/rollout-store.ts'

interface GuardOptions {
  readonly rollouts: Pick<RolloutStore, 'active'>
  readonly gateway: Pick<GatewayClient, 'route'>
  /** The public route. */
  readonly route: string
}

/** The rollout that leads an environment's users by now; staging has none in common with the public route. */
export function rolloutInWay(
  { rollouts, route }: Pick<GuardOptions, 'rollouts' | 'route'>,
  name: EnvironmentName,
): StoredRollout | undefined {
  return name === 'staging' ? undefined : rollouts.active().find(active => active.route === route)
}

/** Two that lead the same users at once would undo each other. */
export function createRouteGuard(options: GuardOptions) {
  const { gateway, route } = options

  /** To be asked again where it is decided: a rollout may have begun while something was looked up. */
  function requireNoRollout(name: EnvironmentName): void {
    const rollout = rolloutInWay(options, name)
    if (rollout === undefined) return
    const why = `rollout "${rollout.name}" is under way on route ${route}; abort it first: weir rollout abort ${rollout.name}`
    throw new WeirError('conflict', why)
  }

  /** Nor is traffic taken from a candidate that a person gave some. */
  async function requireFreeRoute(to: EnvironmentName): Promise<void> {
    requireNoRollout(to)
    if (to !== 'canary') return
    const { policy } = await gateway.route(route)
    const candidate = policy.weights['candidate'] ?? 0
    if (candidate === 0) return
    const why = `the candidate of route ${route} has ${candidate} % of the traffic; take it away first`
    throw new WeirError('conflict', why)
  }

  return { requireNoRollout, requireFreeRoute }
}
