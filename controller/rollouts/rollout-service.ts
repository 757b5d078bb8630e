import { WeirError } from '../../contract/errors.ts'
import type { RolloutFile } from '../../contract/rollout.ts'
import type { GatewayClient } from '../../client/gateway.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Audit } from '../audit.ts'
import type { ModelVersion, VersionLookup } from '../registry/registry.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Store } from '../store.ts'
import { releaseCapacity } from './capacity.ts'
import { refuseSteps } from './refuse-steps.ts'
import type { RolloutStore, StoredRollout } from './rollout-store.ts'
import { isJudged } from './rollout-state.ts'
import { isReplaced } from './rolling.ts'
import { firstState, parseRollout, refuseMetrics } from './start.ts'
import { supersede } from './transitions.ts'
import { applyVerb, type Verb } from './verbs.ts'

export interface RolloutServiceOptions {
  readonly store: Store
  readonly rollouts: RolloutStore
  readonly audit: Audit
  readonly gateway: GatewayClient
  readonly registry: VersionLookup
  readonly runtime: Runtime
  readonly clock: Clock
  /** Custom metrics can be measured. */
  readonly hasPrometheus: boolean
  /** Has the reconciler look at the rollout at once. */
  readonly nudge: (name: string) => void
  /** Throws while something else changes whom the route leads to. */
  readonly requireFree?: ((route: string) => void) | undefined
  /** Throws where a rollout of this content is not for the one who asks to begin. */
  readonly requireMayStart?: ((content: Pick<ModelVersion, 'digest'>, actor: string) => void) | undefined
  /** Throws where the verb is not for the one who asks. */
  readonly requireMayAct?: ((rollout: StoredRollout, verb: Verb, actor: string) => void) | undefined
}

export interface VerbRequest {
  readonly actor: string
  readonly reason?: string | undefined
  /** The version that the operator saw; a newer one answers 412. */
  readonly ifMatch?: number | undefined
}

export interface StartRequest extends Pick<VerbRequest, 'actor' | 'reason'> {
  /** Of the pipeline, which asks whom it has to by itself. */
  readonly run?: string
}

export type RolloutService = ReturnType<typeof createRolloutService>

/** What operators ask of rollouts. Everything is persisted, with its audit record, before it is answered. */
export function createRolloutService(options: RolloutServiceOptions) {
  const { store, rollouts, audit, gateway, registry, runtime, clock, nudge } = options

  function get(name: string): StoredRollout {
    const rollout = rollouts.get(name)
    if (!rollout) throw new WeirError('rollout_not_found', `no rollout "${name}"`)
    return rollout
  }

  /**
   * Looks up what a start needs and returns what starts it, in one commit. `source` is a rollout file; without metadata it is
   * called ROUTE-vVERSION, with a suffix when that name was used.
   */
  async function prepareStart(
    source: unknown,
    { actor, reason, run }: StartRequest,
  ): Promise<() => StoredRollout> {
    const named = withName(source, name => rollouts.get(name) !== undefined)
    const file = parseRollout(named)
    refuseMetrics(file, options.hasPrometheus)
    refuseSteps(file)
    const { name } = file.metadata
    options.requireFree?.(file.spec.route)
    if (rollouts.get(name)) throw new WeirError('conflict', `a rollout "${name}" exists already`)
    const old = otherThatMakesRoom(file)
    const superseded = old?.state
    const state = await firstState(name, file, { gateway, registry, runtime, now: clock.now(), superseded })
    if (run === undefined) options.requireMayStart?.(state.candidate, actor)
    return () => {
      store.transaction(() => {
        options.requireFree?.(file.spec.route)
        const other = otherThatMakesRoom(file) // another request may have come in while the versions were looked up
        if (other?.name !== old?.name)
          throw new WeirError('conflict', 'another rollout was started meanwhile')
        if (other) makeRoom(other, name, actor)
        rollouts.create({ name, source: named, file, state })
        record(name, actor, 'start', reason ?? state.message)
      })
      nudge(name)
      return get(name)
    }
  }

  /** The rollout under way on the route, if it is to be superseded and can be. */
  function otherThatMakesRoom({ spec: { route, supersede } }: RolloutFile): StoredRollout | undefined {
    const other = rollouts.active().find(rollout => rollout.route === route)
    if (other === undefined) return undefined
    const underWay = `rollout "${other.name}" is under way on route ${route}`
    const abortFirst = `abort it first (weir rollout abort ${other.name})`
    if (!supersede)
      throw new WeirError('conflict', `${underWay}; ${abortFirst}, or ask with supersede (--supersede)`)
    const { phase } = other.state
    if (isReplaced(other.state))
      throw new WeirError(
        'conflict',
        `${underWay} and has taken the places of stable's processes; ${abortFirst}`,
      )
    if (phase === 'Pending' || isJudged(other.state)) return other
    throw new WeirError('conflict', `${underWay} and already ${phase}; wait for its end`)
  }

  function makeRoom({ name, state }: StoredRollout, by: string, actor: string): void {
    const after = supersede(state, by, clock.now())
    rollouts.save(name, after)
    record(name, actor, 'superseded', after.message)
    releaseCapacity(runtime, after)
  }

  function getAt(name: string, ifMatch: number | undefined): StoredRollout {
    const rollout = get(name)
    if (ifMatch === undefined || ifMatch === rollout.version) return rollout
    const details = { version: rollout.version, phase: rollout.state.phase }
    throw new WeirError(
      'precondition_failed',
      `the rollout is at version ${rollout.version}, not ${ifMatch}`,
      { details },
    )
  }

  function act(name: string, verb: Verb, { actor, reason, ifMatch }: VerbRequest): StoredRollout {
    const rollout = getAt(name, ifMatch)
    options.requireMayAct?.(rollout, verb, actor)
    const state = applyVerb(verb, rollout.state, { spec: rollout.file.spec, now: clock.now(), actor, reason })
    store.transaction(() => {
      rollouts.save(name, state)
      record(name, actor, verb, reason ?? state.message)
    })
    nudge(name)
    return get(name)
  }

  /** Starts an ended rollout again, as a new one with the same settings and a name with the next free suffix. */
  async function prepareRetry(
    name: string,
    { ifMatch, ...asked }: VerbRequest,
  ): Promise<() => StoredRollout> {
    const { state, source } = getAt(name, ifMatch)
    if (state.endedAt === null)
      throw new WeirError('conflict', `rollout "${name}" is not over (${state.phase})`)
    return prepareStart({ ...source, metadata: undefined }, asked)
  }

  function record(subject: string, actor: string, action: string, reason: string): void {
    audit.append({ at: new Date(clock.now()).toISOString(), actor, action, subject, reason })
  }

  return { get, list: () => rollouts.list(), looks: rollouts.looks, prepareStart, act, prepareRetry }
}

function withName(source: unknown, taken: (name: string) => boolean): unknown {
  if (!isRecord(source) || source['metadata'] !== undefined || !isRecord(source['spec'])) return source
  const { route, modelVersion } = source['spec']
  const base = `${String(route)}-v${String(modelVersion)}`.toLowerCase().replaceAll(/[^-a-z0-9]/g, '-')
  let name = base
  for (let n = 2; taken(name); n++) name = `${base}-${n}`
  return { ...source, metadata: { name } }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
