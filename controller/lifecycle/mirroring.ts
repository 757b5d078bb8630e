import type { PolicyView } from '../../client/gateway.ts'
import { WeirError } from '../../contract/errors.ts'
import type { Clock } from '../../lib/clock.ts'
import { createTurns } from '../../lib/in-turn.ts'
import type { Log } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { RecordedGateway } from '../recorded-gateway.ts'
import type { RolloutStore } from '../rollouts/rollout-store.ts'
import type { Store } from '../store.ts'
import { candidatePatch, sameEndpoints } from './environment-routes.ts'
import type { Lent } from './environment-state.ts'
import type { EnvironmentStore } from './environment-store.ts'
import type { GateSubject } from './gates/gate.ts'

interface MirroringOptions {
  readonly store: Store
  readonly environments: EnvironmentStore
  readonly gateway: RecordedGateway
  readonly rollouts: Pick<RolloutStore, 'active'>
  /** The public route. */
  readonly route: string
  readonly clock: Clock
  readonly log: Log
}

const LOOK_EVERY_MS = 1000

/**
 * Copies of live requests for a version that is not the candidate yet: the candidate's place is lent to it, without traffic. What
 * is lent is noted first, so that a controller that dies meanwhile gives it back when it starts again.
 */
export function createMirroring(options: MirroringOptions) {
  const { store, environments, gateway, rollouts, route, clock, log } = options
  const inTurn = createTurns()
  /** By a gate of this controller that measures still. */
  let inUse = false

  const lent = () => environments.get('canary').state.lent

  function note(next: Lent | null): void {
    store.transaction(() => environments.save({ ...environments.get('canary').state, lent: next }))
  }

  /** In one commit with what keeps others out. */
  function lend(loan: Lent, { policy }: PolicyView): void {
    store.transaction(() => {
      if (rollouts.active().some(active => active.route === route))
        throw new WeirError('conflict', `a rollout is under way on route ${route}`)
      if ((policy.weights['candidate'] ?? 0) > 0)
        throw new WeirError('conflict', `the candidate of route ${route} has traffic`)
      if (environments.get('canary').state.work !== null)
        throw new WeirError('conflict', 'canary, whose place the copies need, is busy')
      note(loan)
    })
  }

  /** Only what is still as it was lent; false: somebody took the place meanwhile. */
  async function giveBack(loan: Lent): Promise<boolean> {
    const { policy, version } = await gateway.route(route)
    const isThere = sameEndpoints(policy.variants['candidate']?.endpoints ?? [], loan.endpoints)
    const copies = policy.mirror?.to === 'candidate' && policy.mirror.percent === loan.percent
    const { current } = environments.get('canary').state
    const patch = {
      ...(isThere && candidatePatch(policy, current?.endpoints ?? []).patch),
      ...(copies && { mirror: loan.mirrorBefore }),
    }
    const reason = 'no live requests are copied any more: the candidate is canary again'
    if (isThere || copies) await gateway.patchRoute(route, patch, { ifMatch: version, reason })
    note(null)
    return isThere
  }

  /** What a controller that died had lent. */
  async function settle(): Promise<void> {
    const loan = lent()
    if (inUse || loan === null) return
    await giveBack(loan)
    log.info({ route }, 'the place that was lent for copies of live requests is given back')
  }

  async function end(loan: Lent): Promise<void> {
    inUse = false
    if (await giveBack(loan)) return
    throw new WeirError('conflict', `the candidate of route ${route} was led elsewhere while it was compared`)
  }

  async function start(endpoints: readonly string[], percent: number): Promise<() => Promise<void>> {
    await settle()
    const view = await gateway.route(route)
    const loan = { endpoints, percent, mirrorBefore: view.policy.mirror ?? null }
    lend(loan, view)
    const patch = { variants: { candidate: { endpoints } }, mirror: { to: 'candidate', percent } }
    const reason = `${percent} % of the live requests are copied to ${endpoints.join(', ')}`
    await gateway.patchRoute(route, patch, { ifMatch: view.version, reason })
    inUse = true
    return async () => inTurn(async () => end(loan))
  }

  return {
    route,
    start: async ({ endpoints }: Pick<GateSubject, 'endpoints'>, percent: number) =>
      inTurn(async () => start(endpoints, percent)),
    /** Gives back what a controller that died had lent, and tries that again until the gateway answers. */
    async run(signal: AbortSignal): Promise<void> {
      while (!signal.aborted) {
        await inTurn(settle).catch((error: unknown) => {
          log.warn(
            { route, reason: describeProblem(error) },
            'the place lent for copies is not given back yet',
          )
        })
        await clock.sleep(LOOK_EVERY_MS, signal)
      }
    },
  }
}
