import type { GatewayClient, RouteStatus } from '../../client/gateway.ts'
import type { Look } from '../../contract/history.ts'
import { weightsBp } from '../../contract/policy.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Evidence } from '../evidence/evidence.ts'
import { lackingArms } from './arms.ts'
import { dealtTo } from './arms-policy.ts'
import { countersFor } from '../judge/judge-for.ts'
import { measureAll } from '../evidence/measure.ts'
import type { PrometheusServer } from '../evidence/prometheus-api.ts'
import type { DeploymentStatus, Runtime } from '../runtime/runtime.ts'
import { askReplicas } from './provide-replicas.ts'
import { isApart } from './recreate.ts'
import { isJudged } from './rollout-state.ts'
import type { StoredRollout } from './rollout-store.ts'
import type { PolicyView } from './wanted-policy.ts'

/** What was learned from the outside at one tick, before anything is decided. Null: it could not be asked. */
export interface Seen {
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly policy: { readonly policy: PolicyView; readonly version: number } | null
  readonly status: RouteStatus | null
  readonly candidate: DeploymentStatus
  /** Of an experiment: its further versions that are to have more processes, by variant. */
  readonly arms: Readonly<Record<string, DeploymentStatus>>
  /** Asked while a rollback of a recreation starts it again, and while its processes are replaced. */
  readonly stableProcess: DeploymentStatus | undefined
  readonly baseline: DeploymentStatus | undefined
  /** Of a rollout that is not yet judged too: it says how much traffic there is. */
  readonly look: Look | null
}

interface ObserverOptions {
  readonly gateway: GatewayClient
  readonly evidence: Evidence
  /** Where custom metrics are asked for; without it they cannot be measured. */
  readonly prometheus: PrometheusServer | undefined
  readonly runtime: Runtime
  readonly clock: Clock
  readonly log: Log
}

/** Asks everybody what a rollout's next decision depends on. Never throws for a peer that is slow, gone or lying. */
export function createObserver(options: ObserverOptions) {
  const { gateway, evidence, prometheus, runtime, clock, log } = options
  async function orNull<T>(what: string, rollout: string, asked: Promise<T>): Promise<T | null> {
    try {
      return await asked
    } catch (error) {
      log.warn({ rollout, reason: describeProblem(error) }, what)
      return null
    }
  }

  /** A look without evidence is one without series: its weights count, and the judge says that it holds. */
  async function takeLook(
    rollout: StoredRollout,
    policy: PolicyView,
    statusAsked: Promise<RouteStatus | null> | null,
  ): Promise<Look> {
    const { name, route, file, state } = rollout
    const wanted = isJudged(state) ? file.spec.analysis.metrics : []
    const besides = countersFor(file.spec)
    const [result, measured, status] = await Promise.all([
      evidence.look(route, besides),
      measureAll(prometheus, wanted),
      statusAsked,
    ])
    const beside = {
      weights: weightsBp(policy),
      sticky: policy.sticky !== undefined || policy.splitBy !== undefined,
      ...(state.experiment && { arms: [...dealtTo(state, policy)] }),
      ...(status !== null && besides.length > 0 && { epoch: status.epoch }),
      ...(measured.length > 0 && { metrics: measured }),
    }
    if (result.kind === 'look') return { ...result.look, ...beside }
    log.warn({ rollout: name, reason: result.reason }, 'no evidence at this look')
    return { t: clock.now() / 1000, ...beside, series: [] }
  }

  /** `lookIsDue`: whether the time has come to read the counters as well. */
  return async (rollout: StoredRollout, lookIsDue: boolean): Promise<Seen> => {
    const { name, route, state } = rollout
    const now = clock.now()
    const judged = isJudged(state)
    const policy = await orNull('the policy cannot be read', name, gateway.route(route))
    const statusAsked = judged
      ? orNull('the endpoints cannot be asked for', name, gateway.status(route))
      : null
    const replicasAsked = askReplicas(runtime, state)
    const isGap = judged && state.recreation?.stage === 'closed'
    const comesBack = state.phase === 'RollingBack' && isApart(state) ? state.recreation?.stableId : undefined
    const others = lackingArms(state)
    const [status, candidate, stableProcess, look, ...arms] = await Promise.all([
      statusAsked,
      isGap ? runtime.status(state.deployment.id) : undefined,
      comesBack === undefined ? undefined : runtime.status(comesBack),
      policy !== null && (judged || state.phase === 'Pending') && lookIsDue
        ? takeLook(rollout, policy.policy, statusAsked)
        : null,
      ...others.map(async arm => [arm.variant, await runtime.status(arm.deployment.id)] as const),
    ])
    const replicas = await replicasAsked
    return {
      now,
      policy,
      status,
      look,
      candidate: candidate ?? replicas.candidate,
      arms: Object.fromEntries(arms),
      stableProcess: stableProcess ?? replicas.stable,
      baseline: replicas.baseline,
    }
  }
}
