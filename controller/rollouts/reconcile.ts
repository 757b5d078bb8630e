import type { GatewayClient, RouteStatus } from '../../client/gateway.ts'
import type { Decision } from '../../contract/history.ts'
import { weightsBp } from '../../contract/policy.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Audit } from '../audit.ts'
import type { Evidence } from '../evidence/evidence.ts'
import { ruleOnEjection, type EjectionFacts } from '../judge/ejection.ts'
import { createJudge, judgeOptions, type Judge } from '../judge/judge.ts'
import type { Registry } from '../registry/registry.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Store } from '../store.ts'
import { describeChange } from './explain.ts'
import { createObserver, type Seen } from './observe.ts'
import { nextState, type Observation } from './rollout-machine.ts'
import { isJudged, isOver, type RolloutState } from './rollout-state.ts'
import type { RolloutStore, StoredRollout } from './rollout-store.ts'
import { saysAll, wantedPolicy } from './wanted-policy.ts'

export interface ReconcilerOptions {
  readonly store: Store
  readonly rollouts: RolloutStore
  readonly audit: Audit
  readonly gateway: GatewayClient
  readonly evidence: Evidence
  readonly runtime: Runtime
  readonly registry: Registry
  readonly clock: Clock
  readonly log: Log
}

const SHORT_TICK_MS = 200
/** An ejection by the gateway, or somebody else's policy, is noticed within this time however far apart the looks are. */
const LONGEST_TICK_MS = 1000
/** Requests that were on their way to a version when its traffic was taken away have this long to finish. */
const DRAIN_MS = 15_000

/**
 * Carries rollouts forward: observe → decide → persist → apply. What is applied follows from the persisted state alone, so a
 * controller that dies between any two of these goes on from the store: nothing happens twice, nothing is forgotten.
 */
export function createReconciler(options: ReconcilerOptions) {
  const { store, rollouts, audit, gateway, runtime, registry, clock, log } = options
  const observe = createObserver(options)
  const judges = new Map<string, Judge>()
  const lastLookAt = new Map<string, number>()
  const wakers = new Map<string, AbortController>()
  const nudged = new Set<string>()

  function judgeOf({ name, file, state }: StoredRollout): Judge {
    const known = judges.get(name)
    if (known) return known
    const judge = createJudge(judgeOptions(file.spec, { settleSeconds: state.settleSeconds }))
    for (const look of rollouts.looks(name)) judge.step(look)
    judges.set(name, judge)
    return judge
  }

  /** Reads the state anew: an operator's verb may have come in while we observed, and must not be overwritten. */
  function decideAndPersist(name: string, seen: Seen): StoredRollout | undefined {
    const rollout = rollouts.get(name)
    if (!rollout || isOver(rollout.state)) return rollout
    const judge = judgeOf(rollout)
    const decision = seen.look === null ? null : judge.step(seen.look)
    const observation: Observation = {
      now: seen.now,
      policyVersion: seen.policy?.version ?? null,
      policyAsWanted: seen.policy !== null && saysAll(seen.policy.policy, wantedPolicy(rollout.state)),
      policyWeightBp: seen.policy === null ? null : (weightsBp(seen.policy.policy)['candidate'] ?? null),
      candidate: seen.candidate,
      ejection: ruleOnEjection(ejectionFacts(seen.status, decision ?? rollout.state.lastDecision)),
      decision,
      allows: decision === null ? () => false : judge.allows,
    }
    const state = nextState(rollout.state, observation, rollout.file.spec)
    store.transaction(() => {
      if (seen.look !== null) rollouts.appendLook(name, seen.look)
      persist(rollout, state)
      if (isOver(state)) releaseCapacity(state)
    })
    return rollouts.get(name)
  }

  function persist({ name, state: before }: StoredRollout, after: RolloutState): void {
    if (JSON.stringify(before) === JSON.stringify(after)) return
    rollouts.save(name, after)
    const change = describeChange(before, after)
    if (!change) return
    audit.append({ at: new Date(clock.now()).toISOString(), actor: 'controller', subject: name, ...change })
    log.info(
      { rollout: name, phase: after.phase, weight: after.weightBp / 100, cause: after.cause },
      after.message,
    )
  }

  async function apply({ name, route, state, file }: StoredRollout): Promise<void> {
    if (state.phase === 'Pending') await deployCandidate(state, file.spec.drill)
    if (state.phase === 'Paused' && state.cause === 'manual-change') return // the operator's weights stand until resumed
    const { policy, version } = await gateway.route(route)
    const wanted = wantedPolicy(state)
    if (!saysAll(policy, wanted)) {
      if (state.policyVersion !== null && version !== state.policyVersion) return // somebody else wrote: decide first
      const applied = await gateway.patchRoute(route, wanted, { ifMatch: version })
      recordApplied(name, version, applied.version)
    } else if (state.policyVersion === null) {
      recordApplied(name, version, version)
    }
  }

  async function deployCandidate(
    state: RolloutState,
    drill: StoredRollout['file']['spec']['drill'],
  ): Promise<void> {
    if (!state.deployment.own) return
    const version = await registry.get(state.model, state.candidate.version)
    await runtime.deploy({ id: state.deployment.id, version, drill })
  }

  function recordApplied(name: string, before: number, after: number): void {
    store.transaction(() => {
      const rollout = rollouts.get(name)
      if (!rollout) return
      rollouts.save(name, { ...rollout.state, policyVersion: after })
      if (before === after) return
      const { weightBp, phase } = rollout.state
      const reason = `${phase}: candidate at ${phase === 'Promoting' ? 'stable, all traffic' : `${weightBp / 100} %`}`
      const policyVersion = { before, after }
      audit.append({
        at: new Date(clock.now()).toISOString(),
        actor: 'controller',
        action: 'policy-applied',
        subject: name,
        reason,
        policyVersion,
      })
    })
  }

  async function tick(name: string): Promise<StoredRollout | undefined> {
    const before = rollouts.get(name)
    if (!before) return undefined
    const lookIsDue =
      clock.now() - (lastLookAt.get(name) ?? 0) >= before.file.spec.analysis.interval - SHORT_TICK_MS / 2
    if (lookIsDue) lastLookAt.set(name, clock.now())
    const seen = await observe(before, lookIsDue)
    const decided = decideAndPersist(name, seen)
    if (!decided || isOver(decided.state)) return decided
    await apply(decided)
    return rollouts.get(name)
  }

  async function carry(name: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const rollout = await tick(name).catch((error: unknown) => {
        log.warn({ rollout: name, reason: describeProblem(error), err: error }, 'a look failed, trying again')
        judges.delete(name) // it may have seen a look that was not stored; the next one replays what was
        return rollouts.get(name)
      })
      if (!rollout || isOver(rollout.state)) break
      await pauseUntilNextTick(rollout, signal)
    }
    for (const map of [judges, lastLookAt, wakers]) map.delete(name)
  }

  async function pauseUntilNextTick(
    { name, file, state }: StoredRollout,
    signal: AbortSignal,
  ): Promise<void> {
    if (nudged.delete(name)) return
    const wake = new AbortController()
    wakers.set(name, wake)
    const stop = () => wake.abort()
    signal.addEventListener('abort', stop, { once: true })
    const settled = isJudged(state) && (lastLookAt.get(name) ?? 0) > 0
    const untilLook = (lastLookAt.get(name) ?? 0) + file.spec.analysis.interval - clock.now()
    await clock.sleep(
      settled ? Math.min(LONGEST_TICK_MS, Math.max(10, untilLook)) : SHORT_TICK_MS,
      wake.signal,
    )
    signal.removeEventListener('abort', stop)
  }

  /** Capacity goes after traffic: what no variant points to any more is stopped once its last requests had time to finish. */
  function releaseCapacity(state: RolloutState): void {
    const { stable, candidate } = wantedPolicy(state).variants
    const kept = new Set([...stable.endpoints, ...candidate.endpoints])
    const involved = [...state.previousCandidateEndpoints, ...state.candidate.endpoints].filter(
      endpoint => !kept.has(endpoint),
    )
    const ids = new Set(involved.map(endpoint => runtime.at(endpoint)?.id).filter(id => id !== undefined))
    if (state.deployment.own && state.phase !== 'Promoted') ids.add(state.deployment.id)
    for (const id of ids) runtime.stop(id, DRAIN_MS)
  }

  return {
    /** Looks at all rollouts under way until `signal` aborts; new ones join within a moment. */
    async run(signal: AbortSignal): Promise<void> {
      while (!signal.aborted) {
        for (const { name } of rollouts.active()) {
          if (wakers.has(name)) continue
          wakers.set(name, new AbortController())
          void carry(name, signal)
        }
        await clock.sleep(SHORT_TICK_MS, signal)
      }
    },
    /** Looks at a rollout at once, because something about it was decided. */
    nudge(name: string): void {
      nudged.add(name)
      wakers.get(name)?.abort()
    },
    /** One look, for tests that decide when. */
    tick,
  }
}

export type Reconciler = ReturnType<typeof createReconciler>

/** All of the candidate's endpoints are out, or on trial after having been out. */
function ejectionFacts(status: RouteStatus | null, decision: Decision | null): EjectionFacts {
  const of = (variant: string) => status?.endpoints.filter(endpoint => endpoint.variant === variant) ?? []
  const candidate = of('candidate')
  return {
    candidateEjected:
      candidate.length > 0 && candidate.every(({ state }) => state === 'out' || state === 'trial'),
    stableHealthy: of('stable').some(({ state }) => state === 'up'),
    failedTrials: Math.min(...candidate.map(({ failedTrials }) => failedTrials)),
    e: decision?.e ?? 1,
    threshold: decision?.threshold ?? Infinity,
  }
}
