import {
  ENVIRONMENTS,
  type EnvironmentName,
  type EnvironmentPlaces,
  type EnvironmentSettings,
} from '../../contract/environment.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Audit } from '../audit.ts'
import type { RecordedGateway } from '../recorded-gateway.ts'
import type { Registry } from '../registry/registry.ts'
import type { RolloutStore } from '../rollouts/rollout-store.ts'
import type { DeploymentObserver } from '../runtime/facts.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Store } from '../store.ts'
import { nextEnvironment, type Decided } from './environment-machine.ts'
import { wantedAlias } from './environment-alias.ts'
import { createFailureTeller } from './environment-failures.ts'
import { createEnvironmentObserver, type EnvironmentLook } from './environment-observe.ts'
import { isReturnDue } from './environment-return.ts'
import { firstPolicy, routesSay, wantedRoutes, type Place } from './environment-routes.ts'
import type { EnvironmentSeen } from './environment-seen.ts'
import type { EnvironmentState, Placement } from './environment-state.ts'
import type { EnvironmentStore } from './environment-store.ts'
import { instancesWithoutSetting } from './environment-warm.ts'
import { createSettingsKeeper } from './keep-settings.ts'
import { needless } from './release.ts'
import { returnAgain } from './revert.ts'
import { rolloutInWay } from './route-guard.ts'

export interface EnvironmentReconcilerOptions {
  readonly store: Store
  readonly environments: EnvironmentStore
  readonly rollouts: Pick<RolloutStore, 'active' | 'list'>
  readonly audit: Audit
  readonly gateway: RecordedGateway
  readonly runtime: Runtime & DeploymentObserver
  readonly registry: Registry
  readonly where: Pick<EnvironmentPlaces, 'model'>
  readonly places: Readonly<Record<EnvironmentName, Place>>
  readonly settings: EnvironmentSettings
  readonly clock: Clock
  readonly log: Log
}

export type EnvironmentReconciler = ReturnType<typeof createEnvironmentReconciler>

const BUSY_TICK_MS = 200
const IDLE_TICK_MS = 1000
/** Requests that were on their way to a version when it was replaced have this long to finish. */
const DRAIN_MS = 15_000

/**
 * Carries environments forward: observe → decide → persist → apply. What is applied follows from the persisted state alone, so
 * a controller that dies between any two of these goes on from the store.
 */
export function createEnvironmentReconciler(options: EnvironmentReconcilerOptions) {
  const { store, environments, rollouts, audit, gateway, runtime, registry, places, settings, clock, log } =
    options
  const { where } = options
  const observe = createEnvironmentObserver({ ...options, route: places.production.route })
  const limits = { readyWithinMs: settings.readyWithin, keepWarmMs: settings.keepWarm }
  const { transaction } = store
  const keepSettings = createSettingsKeeper({ ...options, record, transaction, drainMs: DRAIN_MS })
  const tellFailures = createFailureTeller({ ...options, model: where.model })
  const answers = new Map<EnvironmentName, EnvironmentSeen['answer']>()
  const stopping = new Set<string>()
  let wake = new AbortController()

  /** Reads the state anew: an operator's request may have come in while we observed, and must not be overwritten. */
  function decideAndPersist(observed: EnvironmentState, seen: EnvironmentSeen): EnvironmentState {
    return store.transaction(() => {
      const { state: before } = environments.get(observed.name)
      if (JSON.stringify(before) !== JSON.stringify(observed)) return before // what was seen was seen of another state
      const inWay = rolloutInWay({ rollouts, route: places.production.route }, before.name)
      const isDue = seen.found === null && inWay === undefined && isReturnDue(before, seen.now)
      const decided = isDue
        ? returnAgain(before, environments.history(before.name), seen.now)
        : nextEnvironment(before, seen, limits)
      persist(before, decided)
      return decided.state
    })
  }

  function persist(before: EnvironmentState, { state, outcome }: Decided): void {
    if (JSON.stringify(before) === JSON.stringify(state)) return
    environments.save(state)
    if (outcome !== null) environments.record(state.name, outcome)
    const action = actionOf(before, state, outcome)
    if (action === undefined) return
    const reason = state.held ?? state.message
    record(state.name, { action, reason })
    log.info({ environment: state.name, action, version: state.current?.version }, reason)
  }

  function record(name: EnvironmentName, { action, reason }: { action: string; reason: string }): void {
    const at = new Date(clock.now()).toISOString()
    audit.append({ at, actor: 'controller', action, subject: subjectOf(name), reason })
  }

  async function apply(state: EnvironmentState, look: EnvironmentLook): Promise<void> {
    await provideRoute(state, look)
    const { work } = state
    if (work === null) return keepSettings(state)
    if (work.kind === 'deploy' && work.stage === 'starting') return start(state, work.target)
    await switchRoutes(state)
    const alias = wantedAlias(state, look.seen)
    if (alias === undefined) return
    const { actor, reason } = work
    await registry.setAlias(state.model, state.name, alias, { actor, reason })
  }

  /** Asks no registry what it knows already: a return must not wait for one that is away. */
  async function start(state: EnvironmentState, target: Placement): Promise<void> {
    const { deployment, version, digest } = target
    if (deployment === null) return
    const { instances = instancesWithoutSetting(state, target), memoryLimitMiB } = settings[state.name]
    const { model } = where
    await runtime.deploy({ id: deployment, version: { model, version, digest }, instances, memoryLimitMiB })
  }

  /** Each write only onto the policy that was read, so that nothing of somebody else's is overwritten unseen. */
  async function switchRoutes(state: EnvironmentState): Promise<void> {
    const views = await gateway.routes()
    const policies = new Map(views.map(view => [view.policy.name, view]))
    const place = places[state.name]
    const publicView = policies.get(places.production.route)
    if (publicView === undefined) return
    for (const wanted of wantedRoutes(state, place, publicView.policy)) {
      const view = policies.get(wanted.route)
      if (view === undefined || routesSay(policies, [wanted])) continue
      const why = { subject: subjectOf(state.name), reason: state.message }
      await gateway.patchRoute(wanted.route, wanted.patch, { ifMatch: view.version, ...why })
    }
  }

  /** Staging and canary have a route of their own, on their port, from the first look on. */
  async function provideRoute(state: EnvironmentState, { policies }: EnvironmentLook): Promise<void> {
    const place = places[state.name]
    const publicView = policies?.get(places.production.route)
    if (state.name === 'production' || policies === null || publicView === undefined) return
    const own = policies.get(place.route)
    const why = { subject: subjectOf(state.name), reason: `${place.route} listens on port ${place.port}` }
    if (own === undefined) {
      const policy = firstPolicy(place, publicView.policy, state.current?.endpoints ?? [])
      await gateway.putRoute(place.route, policy)
      record(state.name, { action: 'route-created', reason: why.reason })
    } else if (own.policy.match.port !== place.port) {
      const patch = { match: { port: place.port } }
      await gateway.patchRoute(place.route, patch, { ifMatch: own.version, ...why })
    }
  }

  async function release(): Promise<void> {
    const policies = (await gateway.routes()).map(({ policy }) => policy)
    const states = ENVIRONMENTS.map(name => environments.get(name).state)
    const began = new Set(
      ENVIRONMENTS.flatMap(name => environments.history(name, RECENT)).flatMap(
        ({ deployment }) => deployment ?? [],
      ),
    )
    const users = { environments: states, rollouts: rollouts.active(), policies }
    const ids = new Set(needless(runtime.list(), began, users))
    for (const id of stopping) if (!ids.has(id)) stopping.delete(id)
    for (const id of ids) {
      if (stopping.has(id)) continue // asking again would put its end off
      stopping.add(id)
      runtime.stop(id, DRAIN_MS)
      log.info({ deployment: id }, 'no environment needs this deployment any more')
    }
  }

  async function carry(name: EnvironmentName): Promise<void> {
    const { state } = environments.get(name)
    const look = await observe(state, places[name])
    answers.set(name, look.seen.answer)
    await apply(decideAndPersist(state, look.seen), look)
  }

  async function lookAtAll(): Promise<boolean> {
    const works = [
      ...ENVIRONMENTS.map(name => async () => carry(name)),
      release,
      ...ENVIRONMENTS.map(name => async () => tellFailures(name)), // users first, the books after them
    ]
    for (const work of works) {
      await work().catch((error: unknown) => {
        log.warn({ reason: describeProblem(error), err: error }, 'looking after the environments failed')
      })
    }
    return ENVIRONMENTS.some(name => environments.get(name).state.work !== null)
  }

  return {
    /** One look at one environment, for tests that decide when. */
    tick: async (name: EnvironmentName) => carry(name).finally(async () => tellFailures(name)),
    release,
    /** What answered at its own route at the last look; undefined before the first. */
    lastAnswer: (name: EnvironmentName) => answers.get(name),
    /** Looks at once, because something was decided. */
    nudge: () => wake.abort(),
    async run(signal: AbortSignal): Promise<void> {
      const stop = () => wake.abort()
      signal.addEventListener('abort', stop)
      while (!signal.aborted) {
        wake = new AbortController()
        const busy = await lookAtAll()
        if (!signal.aborted) await clock.sleep(busy ? BUSY_TICK_MS : IDLE_TICK_MS, wake.signal)
      }
      signal.removeEventListener('abort', stop)
    },
  }
}

/** Deployments further back were released long ago. */
const RECENT = 100

/** As the audit knows an environment; rollouts may bear the same names. */
export function subjectOf(name: EnvironmentName): string {
  return `environment/${name}`
}

function actionOf(
  { work: before, held }: EnvironmentState,
  { work: after, held: nowHeld }: EnvironmentState,
  outcome: Decided['outcome'],
): string | undefined {
  if (outcome?.kind === 'begun') return outcome.entry.how
  if (outcome?.kind === 'verified') return 'deployed'
  if (outcome?.kind === 'failed') return 'deployment-failed'
  if (outcome?.kind === 'closed') return 'stopped'
  if (nowHeld !== null && nowHeld !== held) return 'not-followed'
  const stage = (work: typeof before) => (work?.kind === 'deploy' ? work.stage : undefined)
  const entered = stage(after)
  return entered === stage(before) ? undefined : entered
}
