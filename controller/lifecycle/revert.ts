import { begin, withdraw, type Decided, type Outcome } from './environment-machine.ts'
import { MAX_RETURNS } from './environment-return.ts'
import { isGood, type EnvironmentState, type HistoryEntry, type Placement } from './environment-state.ts'

export interface RevertOrder {
  /** The deployment that failed; any newer one is left alone. */
  readonly revision: number
  readonly actor: string
  readonly reason: string
  /** False: nothing is held against the version, and the registry does not hear of it. True by default. */
  readonly tell?: boolean
  readonly now: number
}

/** `done`: it was reverted before. `superseded`: something newer is there or on its way, which is not to be overwritten. */
export type RevertResult = 'reverting' | 'stopping' | 'done' | 'superseded'

export interface Reverted {
  readonly result: RevertResult
  readonly state: EnvironmentState
  readonly outcomes: readonly Outcome[]
}

/**
 * Returns an environment to the version that was last seen good, where the failed deployment is what it runs, or what is on
 * its way into it. Asked again, it changes nothing. Pure.
 */
export function revert(
  state: EnvironmentState,
  history: readonly HistoryEntry[],
  { revision, actor, reason, tell = true, now }: RevertOrder,
): Reverted {
  const failed = history.find(entry => entry.revision === revision)
  if (failed === undefined) return { result: 'done', state, outcomes: [] }
  const { work, current } = state
  const older = tell ? foundBad(history, failed, current).filter(good => good !== revision) : []
  const failures = [
    { kind: 'failed' as const, revision, failure: reason, tell },
    ...older.map(bad => ({ kind: 'failed' as const, revision: bad, failure: reason, tell: false })),
  ]
  if (failed.failure !== null)
    return { result: 'done', state, outcomes: tell && failed.telling === 'no' ? failures : [] }
  if (work?.kind === 'deploy' && work.revision === revision) {
    if (work.stage === 'returning') return { result: 'done', state, outcomes: failures }
    return { result: 'reverting', state: withdraw(state, work, reason, now), outcomes: failures }
  }
  if (work !== null || current?.revision !== revision)
    return { result: 'superseded', state, outcomes: failures }
  const good = tell ? lastGood(history, failed) : lastGoodBefore(history, revision)
  if (good === undefined) {
    const message = `stopping: ${reason}; there is no version to return to`
    const closing = {
      kind: 'close' as const,
      revision,
      actor,
      reason: `${reason}; nothing that was seen good was there before it`,
    }
    return { result: 'stopping', state: { ...state, work: closing, message }, outcomes: failures }
  }
  const begun = deployAgain(state, good, { how: 'revert', actor, reason, now })
  return { result: 'reverting', state: begun.state, outcomes: [...failures, ...outcomesOf(begun)] }
}

/** A return that came to nothing is tried again; asked where one is due. Pure. */
export function returnAgain(state: EnvironmentState, history: readonly HistoryEntry[], now: number): Decided {
  const { current, pendingReturn } = state
  const good = current === null ? undefined : lastGood(history, current)
  if (pendingReturn === null || good === undefined) {
    const message = `${state.message}; there is no good version to return to any more`
    return { state: { ...state, pendingReturn: null, message }, outcome: null }
  }
  const { actor, reason, tries } = pendingReturn
  const begun = deployAgain(state, good, { how: 'revert', actor, reason, now })
  const message = `returning to version ${good.version} again (try ${tries + 1} of ${MAX_RETURNS})`
  return { ...begun, state: { ...begun.state, message } }
}

/** Deployments that were seen good of content that is bad: none of them is to be returned to. What runs is judged by itself. */
export function foundBad(
  history: readonly HistoryEntry[],
  { digest }: { readonly digest: string },
  current: { readonly revision: number } | null,
): readonly number[] {
  return history
    .filter(entry => isGood(entry) && entry.digest === digest && entry.revision !== current?.revision)
    .map(({ revision }) => revision)
}

/** The newest version that was seen good and not found bad since; by content, since a number may be registered anew. */
export function lastGood(
  history: readonly HistoryEntry[],
  than: { readonly digest: string },
): HistoryEntry | undefined {
  return history
    .toSorted((a, b) => b.revision - a.revision)
    .find(entry => isGood(entry) && entry.digest !== than.digest)
}

/** Also of the same content: a deployment that nothing is held against may have been one more of what was good. */
function lastGoodBefore(history: readonly HistoryEntry[], revision: number): HistoryEntry | undefined {
  return history
    .filter(entry => isGood(entry) && entry.revision < revision)
    .toSorted((a, b) => b.revision - a.revision)[0]
}

interface AgainOptions {
  readonly how: 'rollback' | 'revert'
  readonly actor: string
  readonly reason: string
  readonly now: number
}

/** Processes that are still warm, or run the same content, take over at once; otherwise it is started again, under a new name. */
export function deployAgain(state: EnvironmentState, entry: HistoryEntry, options: AgainOptions): Decided {
  const { version, digest } = entry
  const { current } = state
  const same = current?.digest === digest ? { deployment: current.deployment, endpoints: [] } : undefined
  const ready = state.warm.find(({ revision }) => revision === entry.revision) ?? same
  const target: Placement = {
    version,
    digest,
    deployment: ready?.deployment ?? null,
    endpoints: ready?.endpoints ?? [],
  }
  const good = `was seen good before: ${entry.goodBy ?? `revision ${entry.revision}`}`
  return begin(state, { ...options, target, good })
}

export function outcomesOf({ outcome }: Decided): readonly Outcome[] {
  return outcome === null ? [] : [outcome]
}
