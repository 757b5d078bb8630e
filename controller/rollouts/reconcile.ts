import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Audit } from '../audit.ts'
import type { ControllerMetrics } from '../metrics.ts'
import type { Evidence } from '../evidence/evidence.ts'
import type { PrometheusServer } from '../evidence/prometheus-api.ts'
import type { RecordedGateway } from '../recorded-gateway.ts'
import type { VersionLookup } from '../registry/registry.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Store } from '../store.ts'
import { deployArms, releaseFallenArms } from './arm-processes.ts'
import { createAssessor, type Assessor } from './assessor.ts'
import { releaseCapacity } from './capacity.ts'
import { describeChanges } from './changes.ts'
import type { Hooks } from './hooks.ts'
import { exchangeProcesses } from './exchange-processes.ts'
import { createObserver, type Seen } from './observe.ts'
import { lowerReplicas, raiseReplicas } from './provide-replicas.ts'
import { isJudged, isOver, type RolloutState } from './rollout-state.ts'
import type { RolloutStore, StoredRollout } from './rollout-store.ts'
import { saysAll, wantedPolicy } from './wanted-policy.ts'

export interface ReconcilerOptions {
  readonly store: Store
  readonly rollouts: RolloutStore
  readonly audit: Audit
  readonly gateway: RecordedGateway
  readonly evidence: Evidence
  /** Where custom metrics are asked for, if anywhere. */
  readonly prometheus: PrometheusServer | undefined
  readonly runtime: Runtime
  readonly registry: VersionLookup
  readonly clock: Clock
  readonly log: Log
  readonly metrics: ControllerMetrics
  readonly hooks: Hooks
}

const SHORT_TICK_MS = 200
/** An ejection by the gateway, or somebody else's policy, is noticed within this time however far apart the looks are. */
const LONGEST_TICK_MS = 1000

/**
 * Carries rollouts forward: observe → decide → persist → apply. What is applied follows from the persisted state alone, so a
 * controller that dies between any two of these goes on from the store: nothing happens twice, nothing is forgotten.
 */
export function createReconciler(options: ReconcilerOptions) {
  const { store, rollouts, audit, gateway, runtime, registry, clock, log, metrics, hooks } = options
  const observe = createObserver(options)
  const assessors = new Map<string, Assessor>()
  const lastLookAt = new Map<string, number>()
  const wakers = new Map<string, AbortController>()
  const nudged = new Set<string>()

  function assessorOf(rollout: StoredRollout): Assessor {
    const { name } = rollout
    const assessor = assessors.get(name) ?? createAssessor(rollout, rollouts.looks(name))
    assessors.set(name, assessor)
    return assessor
  }

  /** Reads the state anew: an operator's verb may have come in while we observed, and must not be overwritten. */
  function decideAndPersist(name: string, seen: Seen): StoredRollout | undefined {
    const rollout = rollouts.get(name)
    if (!rollout || isOver(rollout.state)) return rollout
    const assessor = assessorOf(rollout)
    const state = hooks.hold(rollout, assessor.assess(rollout.state, seen, hooks.words(rollout)))
    if (seen.look !== null && isJudged(rollout.state) && state.lastDecision !== null)
      metrics.judged(rollout, state.lastDecision, assessor.figures())
    store.transaction(() => {
      if (seen.look !== null && isJudged(rollout.state)) rollouts.appendLook(name, seen.look)
      persist(rollout, state)
      releaseFallenArms(runtime, rollout.state, state)
      if (isOver(state)) releaseCapacity(runtime, state)
    })
    return rollouts.get(name)
  }

  function persist({ name, state: before }: StoredRollout, after: RolloutState): void {
    if (JSON.stringify(before) === JSON.stringify(after)) return
    rollouts.save(name, after)
    const at = new Date(clock.now()).toISOString()
    const { phase, cause } = after
    for (const change of describeChanges(before, after)) {
      audit.append({ at, actor: 'controller', subject: name, ...change })
      log.info(
        { rollout: name, action: change.action, phase, weight: after.weightBp / 100, cause },
        change.reason,
      )
    }
  }

  async function apply({ name, route, state, file }: StoredRollout): Promise<void> {
    const { drill } = file.spec
    const isConfirmed = state.gate?.type !== 'confirm-rollout'
    if (isConfirmed) await deployArms(runtime, registry, state)
    await exchangeProcesses(runtime, registry, { state, drill })
    if (isConfirmed) await raiseReplicas(runtime, registry, { state, drill })
    if (state.phase === 'Paused' && state.cause === 'manual-change') return // the operator's weights stand until resumed
    const { policy, version } = await gateway.route(route)
    const wanted = wantedPolicy(state)
    if (!saysAll(policy, wanted)) {
      if (state.policyVersion !== null && version !== state.policyVersion) return // somebody else wrote: decide first
      const place = state.phase === 'Promoting' ? 'stable, all traffic' : `${state.weightBp / 100} %`
      const why = { subject: name, reason: `${state.phase}: candidate at ${place}` }
      const applied = await gateway.patchRoute(route, wanted, { ifMatch: version, ...why })
      acceptVersion(name, applied.version)
    } else if (state.policyVersion === null) {
      acceptVersion(name, version)
    }
    await lowerReplicas(runtime, state)
  }

  function acceptVersion(name: string, policyVersion: number): void {
    store.transaction(() => {
      const rollout = rollouts.get(name)
      if (rollout) rollouts.save(name, { ...rollout.state, policyVersion })
    })
  }

  async function tick(name: string): Promise<StoredRollout | undefined> {
    const before = rollouts.get(name)
    if (!before) return undefined
    const lookIsDue =
      clock.now() - (lastLookAt.get(name) ?? 0) >= before.file.spec.analysis.interval - SHORT_TICK_MS / 2
    if (lookIsDue) lastLookAt.set(name, clock.now())
    const loopEnds = metrics.timeLoop()
    const seen = await observe(before, lookIsDue)
    const decided = decideAndPersist(name, seen)
    if (!decided || isOver(decided.state)) return decided
    await apply(decided)
    loopEnds()
    return rollouts.get(name)
  }

  async function carry(name: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const rollout = await tick(name).catch((error: unknown) => {
        metrics.loopFailed()
        log.warn({ rollout: name, reason: describeProblem(error), err: error }, 'a look failed, trying again')
        assessors.delete(name) // it may have seen a look that was not stored; the next one replays what was
        return rollouts.get(name)
      })
      if (!rollout || isOver(rollout.state)) break
      await pauseUntilNextTick(rollout, signal)
    }
    for (const map of [assessors, lastLookAt, wakers]) map.delete(name)
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
