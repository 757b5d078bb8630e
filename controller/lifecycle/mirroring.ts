import type { GatewayClient } from '../../client/gateway.ts'
import { WeirError } from '../../contract/errors.ts'
import type { RolloutStore } from '../rollouts/rollout-store.ts'
import type { Environments } from './environments.ts'
import type { Mirroring } from './gates/shadow.ts'

interface MirroringOptions {
  readonly gateway: Pick<GatewayClient, 'route' | 'patchRoute'>
  readonly rollouts: Pick<RolloutStore, 'active'>
  readonly environments: Pick<Environments, 'running'>
  /** The public route. */
  readonly route: string
}

/** Copies of live requests for a version that is not the candidate yet: the candidate's place is lent to it, without traffic. */
export function createMirroring({ gateway, rollouts, environments, route }: MirroringOptions): Mirroring {
  return {
    route,
    async start({ endpoints }, percent) {
      const { policy, version } = await gateway.route(route)
      if (rollouts.active().some(active => active.route === route))
        throw new WeirError('conflict', `a rollout is under way on route ${route}`)
      if ((policy.weights['candidate'] ?? 0) > 0)
        throw new WeirError('conflict', `the candidate of route ${route} has traffic`)
      const patch = { variants: { candidate: { endpoints } }, mirror: { to: 'candidate', percent } }
      await gateway.patchRoute(route, patch, { ifMatch: version })
      return async () => {
        const candidate = { endpoints: environments.running('canary')?.endpoints ?? [] }
        await gateway.patchRoute(route, { variants: { candidate }, mirror: policy.mirror ?? null })
      }
    },
  }
}
