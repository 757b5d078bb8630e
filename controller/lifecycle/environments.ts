import {
  ENVIRONMENTS,
  SOURCES,
  type EnvironmentName,
  type EnvironmentSettings,
  type EnvironmentView,
  type GatesRun,
  type PromoteBody,
} from '../../contract/environment.ts'
import { WeirError } from '../../contract/errors.ts'
import type { GatewayClient } from '../../client/gateway.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Audit, AuditRecord } from '../audit.ts'
import type { Registry } from '../registry/registry.ts'
import type { RolloutStore } from '../rollouts/rollout-store.ts'
import type { VerbRequest } from '../rollouts/rollout-service.ts'
import type { Store } from '../store.ts'
import { begin, withdrawByPerson, type Outcome } from './environment-machine.ts'
import { doubtsAbout } from './doubts.ts'
import { askPlace } from './environment-observe.ts'
import { subjectOf, type EnvironmentReconciler } from './environment-reconcile.ts'
import { describeGates } from './environment-gates-words.ts'
import type { Place } from './environment-routes.ts'
import type { EnvironmentState } from './environment-state.ts'
import type { DeployedSeen } from './pipeline-machine.ts'
import type { EnvironmentStore, StoredEnvironment } from './environment-store.ts'
import { createReverter } from './environment-revert.ts'
import { environmentView } from './environment-view.ts'
import type { DoubtsAboutApproval } from './pipeline-approvers.ts'
import { createRouteGuard } from './route-guard.ts'
import { deployAgain, foundBad, lastGood, outcomesOf, type RevertOrder, type RevertResult } from './revert.ts'

export interface EnvironmentsOptions {
  readonly store: Store
  readonly environments: EnvironmentStore
  readonly audit: Audit
  readonly registry: Pick<Registry, 'get'>
  readonly gateway: Pick<GatewayClient, 'route'>
  readonly rollouts: Pick<RolloutStore, 'active'>
  readonly places: Readonly<Record<EnvironmentName, Place>>
  readonly settings: EnvironmentSettings
  readonly reconciler: Pick<EnvironmentReconciler, 'nudge' | 'lastAnswer'>
  readonly doubtsAboutApproval: DoubtsAboutApproval
  readonly clock: Clock
}

export interface PromoteRequest extends Omit<PromoteBody, 'reason'>, VerbRequest {
  readonly to: EnvironmentName
  /** Also where it runs already: the same processes are verified anew. */
  readonly again?: boolean
}

export type Environments = ReturnType<typeof createEnvironments>

/** What operators and the pipeline ask of environments. Everything is persisted, with its audit record, before it is answered. */
export function createEnvironments(options: EnvironmentsOptions) {
  const { store, environments, audit, registry, gateway, rollouts, places, reconciler, clock } = options
  const { route } = places.production
  const revert = createReverter({ store, environments, clock, record })
  const { requireNoRollout, requireFreeRoute } = createRouteGuard({ rollouts, gateway, route })

  function view(name: EnvironmentName): EnvironmentView {
    const stored = environments.get(name)
    const history = environments.history(name, SHOWN_ENTRIES)
    const gatesUnderWay = environments.gatesUnderWay.get(name)
    const answer = reconciler.lastAnswer(name)
    const about = { place: places[name], settings: options.settings[name] }
    return environmentView(stored, { ...about, history, answer, gatesUnderWay })
  }

  function getAt(name: EnvironmentName, ifMatch: number | undefined): StoredEnvironment {
    const stored = environments.get(name)
    if (ifMatch === undefined || ifMatch === stored.version) return stored
    throw new WeirError('precondition_failed', `${name} is at version ${stored.version}, not ${ifMatch}`, {
      details: { version: stored.version },
    })
  }

  /** Looks up what the promotion needs and returns what begins it, in one commit. */
  async function preparePromote(request: PromoteRequest): Promise<() => EnvironmentView> {
    const { to, from, version, force, again = false, actor, reason } = request
    if (SOURCES.indexOf(from) > ENVIRONMENTS.indexOf(to))
      throw new WeirError(
        'invalid_setting',
        `a version goes from ${from} to a later environment, not to ${to}`,
      )
    if (force && (reason === undefined || reason.trim() === ''))
      throw new WeirError('invalid_setting', 'force needs a reason, which the audit keeps')
    const seenAt = getAt(to, request.ifMatch)
    requireIdle(seenAt.state)
    requireNotLent(seenAt.state)
    const found = await registry.get(seenAt.state.model, version)
    const { digest, model } = found
    const there = seenAt.state.current?.digest === digest ? seenAt.state.current : null
    if (there !== null && !again) throw new WeirError('conflict', `${to} runs version ${version} already`)
    const doubts = await doubtsAbout(found, request, options)
    const [doubt] = doubts
    if (doubt !== undefined && !force) throw doubt
    await requireFreeRoute(to)
    const overridden = doubts.map(({ message }) => message).join('; ')
    const forced = overridden === '' ? '' : `, although ${overridden}`
    const why = `${model} version ${version} from ${from}${forced}${reason === undefined ? '' : `: ${reason}`}`
    return () => {
      const target = { version, digest, deployment: there?.deployment ?? null, endpoints: [] }
      return change(to, seenAt, {
        action: forced === '' ? 'promote' : 'promote-forced',
        actor,
        reason: why,
        decide(state) {
          requireIdle(state)
          requireNotLent(state)
          requireNoRollout(to)
          const order = { how: 'promote' as const, actor, reason: why, target, good: null, now: clock.now() }
          const begun = begin(state, order)
          return { state: begun.state, outcomes: outcomesOf(begun) }
        },
      })
    }
  }

  /** One command back to what was good before; a deployment under way is given up instead. */
  async function prepareRollback(
    name: EnvironmentName,
    { actor, reason, ifMatch }: VerbRequest,
  ): Promise<() => EnvironmentView> {
    const seenAt = getAt(name, ifMatch)
    const history = environments.history(name)
    const why = reason ?? `rolled back by ${actor}`
    requireNoRollout(name)
    return () =>
      change(name, seenAt, {
        action: 'rollback',
        actor,
        reason: why,
        decide(state) {
          const { work, current } = state
          const now = clock.now()
          requireNoRollout(name)
          if (work?.kind === 'deploy' && work.stage !== 'returning' && work.how !== 'rollback')
            return { state: withdrawByPerson(state, work, why, now), outcomes: [] }
          requireIdle(state)
          const good = lastGood(history, { digest: current?.digest ?? '' })
          if (good === undefined)
            throw new WeirError('conflict', `${name} has no earlier version that was seen good to return to`)
          const begun = deployAgain(state, good, { how: 'rollback', actor, reason: why, now })
          const left = current === null ? [] : [current.revision, ...foundBad(history, current, current)]
          const failed = left.map(revision => ({
            kind: 'failed' as const,
            revision,
            failure: why,
            tell: false,
          }))
          return { state: begun.state, outcomes: [...failed, ...outcomesOf(begun)] }
        },
      })
  }

  function revertTo(name: EnvironmentName, order: Omit<RevertOrder, 'now'>): RevertResult {
    const result = revert(name, order)
    reconciler.nudge()
    return result
  }

  /** That exactly this deployment's gates passed; one that is there no more is not marked. */
  function markGood(name: EnvironmentName, revision: number, by: string): boolean {
    return store.transaction(() => {
      const entry = environments.entry(name, revision)
      if (entry === undefined || entry.failure !== null || entry.verifiedAt === null) return false
      if (entry.goodAt === null) {
        environments.saveEntry(name, { ...entry, goodAt: clock.now(), goodBy: by })
        record(name, { action: 'seen-good', actor: 'controller', reason: `version ${entry.version}: ${by}` })
      }
      return true
    })
  }

  /** Gates that a person runs: what they found so far, and, once they have ended, for good. */
  function noteGates(name: EnvironmentName, run: GatesRun): void {
    const { revision, digest, by, reason, results, verdict } = run
    store.transaction(() => {
      const isNew = environments.gatesUnderWay.get(name) === undefined
      if (verdict === null) environments.gatesUnderWay.set(name, run)
      else environments.gatesUnderWay.end(name)
      if (verdict === null && !isNew) return
      const action = verdict === null ? 'gates-begun' : `gates-${verdict}`
      const said = describeGates(run)
      const why = verdict === null ? [said, reason].filter(Boolean).join(': ') : said
      record(name, { action, actor: by, reason: why, evidence: { revision, digest, results } })
      const entry = environments.entry(name, revision)
      if (verdict === null || entry === undefined) return
      const failedGates = verdict === 'error' ? entry.failedGates : verdict === 'fail' ? said : null
      environments.saveEntry(name, { ...entry, gates: run, failedGates })
      if (verdict === 'pass') markGood(name, revision, `gates run by ${by}: ${said}`)
    })
  }

  interface Change {
    readonly action: string
    readonly actor: string
    readonly reason: string
    readonly decide: (state: EnvironmentState) => Decision
  }

  /** Compare-and-set: what was looked up was looked up of exactly this version of the environment. */
  function change(name: EnvironmentName, { state: seen }: StoredEnvironment, asked: Change): EnvironmentView {
    store.transaction(() => {
      const { state } = environments.get(name)
      if (state.revision !== seen.revision)
        throw new WeirError('conflict', `another deployment into ${name} began meanwhile`)
      save(state, asked.decide(state))
      record(name, asked)
    })
    reconciler.nudge()
    return view(name)
  }

  function save({ name }: EnvironmentState, { state, outcomes }: Decision): void {
    environments.save(state)
    for (const outcome of outcomes) environments.record(name, outcome)
  }

  function record(
    name: EnvironmentName,
    told: Pick<AuditRecord, 'action' | 'actor' | 'reason' | 'evidence'>,
  ): void {
    const at = new Date(clock.now()).toISOString()
    const { action, actor, reason, evidence } = told
    const known = evidence === undefined ? {} : { evidence }
    audit.append({ at, actor, action, subject: subjectOf(name), reason, ...known })
  }

  return {
    list: () => ENVIRONMENTS.map(view),
    view,
    preparePromote,
    prepareRollback,
    revert: revertTo,
    markGood,
    noteGates,
    /** As they stand; a controller that begins finds those of an earlier one, which nobody runs any more. */
    gatesUnderWay: environments.gatesUnderWay.get,
    requireSeen: (name: EnvironmentName, ifMatch: number | undefined) => void getAt(name, ifMatch),
    /** What answers at its own route just now; null: nothing does. */
    ask: async (name: EnvironmentName) => askPlace(places[name]),
    /** What it runs, with its processes. */
    running: (name: EnvironmentName) => environments.get(name).state.current,
    /** What became of one deployment. */
    deployed(name: EnvironmentName, revision: number | null): DeployedSeen {
      const { current, work, pendingReturn } = environments.get(name).state
      const entry = revision === null ? undefined : environments.entry(name, revision)
      return {
        current,
        stage: work?.kind === 'deploy' && work.revision === revision ? work.stage : null,
        failure: entry?.failure ?? null,
        gate: entry?.gate ?? null,
        busy: work !== null,
        reverted: entry !== undefined && entry.telling !== 'no',
        returnsTo: pendingReturn?.version,
      }
    },
    /** Throws while a deployment leads the public route elsewhere; following what others did is none. */
    requireFree(asked: string): void {
      if (asked !== route) return
      for (const name of ['canary', 'production'] as const) {
        const { state } = environments.get(name)
        if (state.work?.kind !== 'deploy' || state.work.how !== 'follow') requireIdle(state)
        requireNotLent(state)
      }
    },
  }
}

interface Decision {
  readonly state: EnvironmentState
  readonly outcomes: readonly Outcome[]
}

const SHOWN_ENTRIES = 20

function requireNotLent({ name, lent }: EnvironmentState): void {
  if (lent === null) return
  const what = `its place is lent to ${lent.endpoints.join(', ')} while live requests are copied there`
  throw new WeirError('conflict', `${name} is busy: ${what}`, { retryAfterSeconds: 1 })
}

function requireIdle({ name, work }: EnvironmentState): void {
  if (work === null) return
  const what = work.kind === 'deploy' ? `version ${work.target.version} is on its way` : 'it is being stopped'
  throw new WeirError('conflict', `${name} is busy: ${what}`, { retryAfterSeconds: 1 })
}
