import type { How } from '../../contract/environment.ts'
import type { GateResult } from '../../contract/gate.ts'
import { isAliasBack } from './environment-alias.ts'
import { afterFailedReturn, describeReturn } from './environment-return.ts'
import { leadsThere } from './environment-routes.ts'
import type { EnvironmentSeen, Found } from './environment-seen.ts'
import { letCool, warmAfter, withoutBroken } from './environment-warm.ts'
import type { Closing, Deploying, EnvironmentState, HistoryEntry, Placement } from './environment-state.ts'
import { whyNotRegistered } from './registered-as.ts'

export interface EnvironmentLimits {
  readonly readyWithinMs: number
  readonly keepWarmMs: number
}

/** What became of a deployment, for the history. */
export type Outcome =
  | { readonly kind: 'begun'; readonly entry: HistoryEntry }
  | {
      readonly kind: 'verified'
      readonly revision: number
      readonly at: number
      /** Why it counts as seen good; null: its gates have yet to say. */
      readonly good: string | null
      readonly placement: Placement
    }
  /** `tell`: the registry as well, so that nobody takes the version again unknowingly. */
  | {
      readonly kind: 'failed'
      readonly revision: number
      readonly failure: string
      readonly gate?: GateResult | null
      readonly tell: boolean
    }
  | { readonly kind: 'closed' }

export interface Decided {
  readonly state: EnvironmentState
  readonly outcome: Outcome | null
}

/** How long a version that is ready may take to answer at the environment's own route. */
const VERIFY_LIMIT_MS = 30_000

/** The next state of an environment. Pure: the same state and observation always give the same answer. */
export function nextEnvironment(
  before: EnvironmentState,
  seen: EnvironmentSeen,
  limits: EnvironmentLimits,
): Decided {
  const state = letCool(before, seen.now)
  if (state.work === null)
    return seen.found === null ? hold(state, seen) : follow(state, seen.found, seen.now)
  if (state.work.kind === 'close') return close(state, state.work, seen)
  const { work } = state
  switch (work.stage) {
    case 'starting':
      return awaitReady(state, work, seen, limits)
    case 'switching':
      return verify(state, work, seen)
    case 'aliasing':
      return awaitAlias(state, work, seen, limits)
    case 'returning':
      return giveUp(state, work, seen)
  }
}

export interface Order {
  readonly how: How
  readonly actor: string
  readonly reason: string
  /** Without a deployment it gets one of its own. */
  readonly target: Placement
  readonly good: string | null
  readonly now: number
}

/** Begins a deployment; whoever calls has seen that none is under way. */
export function begin(state: EnvironmentState, order: Order): Decided {
  const revision = state.revision + 1
  const { how, actor, reason, good, now } = order
  const own = how === 'follow' ? null : `${state.model}-${state.name}-r${revision}`
  const target = { ...order.target, deployment: order.target.deployment ?? own }
  const work: Deploying = {
    kind: 'deploy',
    revision,
    how,
    actor,
    reason,
    stage: 'starting',
    since: now,
    target,
    good,
    candidateBefore: null,
    stableBefore: null,
    failure: null,
    gate: null,
    returns: how === 'revert' ? { actor, reason } : null,
  }
  const noted = { ...target, revision, how, actor, reason, at: now, verifiedAt: null }
  const entry: HistoryEntry = {
    ...noted,
    goodAt: null,
    goodBy: null,
    failure: null,
    gate: null,
    gates: null,
    failedGates: null,
    telling: 'no',
  }
  return {
    state: { ...state, revision, work, held: null, message: `starting version ${target.version}` },
    outcome: { kind: 'begun', entry },
  }
}

/** Gives a deployment under way up: the routes lead back to what was there before. */
export function withdraw(
  state: EnvironmentState,
  work: Deploying,
  failure: string,
  now: number,
): EnvironmentState {
  const given = { ...work, stage: 'returning' as const, since: now, failure }
  const back = state.current === null ? 'no version' : `version ${state.current.version}`
  return { ...state, work: given, message: `${failure}; returning to ${back}` }
}

/** As a person decides it: a return is not tried again then. */
export function withdrawByPerson(
  state: EnvironmentState,
  work: Deploying,
  failure: string,
  now: number,
): EnvironmentState {
  const pendingReturn = work.returns ? null : state.pendingReturn
  return { ...withdraw(state, { ...work, returns: null }, failure, now), pendingReturn }
}

/** Something else that is not followed is told, and forgotten when it is there no more. */
function hold(state: EnvironmentState, { held, gone }: EnvironmentSeen): Decided {
  const { current } = state
  if (gone === null || current === null) return unchanged(held === undefined ? state : { ...state, held })
  const { revision } = current
  const work: Closing = { kind: 'close', revision, actor: 'controller', reason: gone }
  return unchanged({ ...state, work, held: null, message: `stopping: ${gone}` })
}

/** Somebody else led the public route elsewhere: it is verified like any other, but nothing has to be started or switched. */
function follow(state: EnvironmentState, { placement, reason, good }: Found, now: number): Decided {
  const { current } = state
  if (current !== null && isSame(current, placement))
    return unchanged({ ...state, held: null, current: { ...current, endpoints: placement.endpoints } })
  const begun = begin(state, { how: 'follow', actor: 'controller', reason, target: placement, good, now })
  const work: Deploying | null =
    begun.state.work?.kind === 'deploy' ? { ...begun.state.work, stage: 'switching' } : null
  return { ...begun, state: { ...begun.state, work, message: reason } }
}

function awaitReady(
  state: EnvironmentState,
  work: Deploying,
  seen: EnvironmentSeen,
  { readyWithinMs }: EnvironmentLimits,
): Decided {
  const { target, now } = seen
  const { version, digest } = work.target
  const fail = (why: string) => unchanged(withdraw(state, work, why, now))
  if (target.kind === 'ready' && target.digest !== digest)
    return fail(`version ${version} answers with ${target.digest}, not ${digest}`)
  if (target.kind === 'ready') {
    if (seen.publicRoute === null)
      return unchanged({ ...state, message: `version ${version} is ready; the gateway does not answer` })
    const { stable: stableBefore, candidate: candidateBefore } = seen.publicRoute
    const switching = {
      ...work,
      stage: 'switching' as const,
      since: now,
      target: { ...work.target, endpoints: target.endpoints },
      candidateBefore,
      stableBefore,
    }
    return unchanged({ ...state, work: switching, message: `version ${version} is ready, switching to it` })
  }
  if (seen.ending !== null) {
    const { gate, reason } = seen.ending
    return unchanged(withdraw(state, { ...work, gate: seen.ending }, `${gate}: ${reason}`, now))
  }
  const reason = 'reason' in target ? target.reason : 'not deployed yet'
  if (now - work.since > readyWithinMs)
    return fail(`version ${version} was not ready within ${readyWithinMs / 1000} s: ${reason}`)
  return unchanged({ ...state, message: `waiting for version ${version}: ${reason}` })
}

/** The same processes, of which there are more or fewer now. */
function isSame(a: Placement, b: Placement): boolean {
  return a.digest === b.digest && a.deployment !== null && a.deployment === b.deployment
}

function verify(state: EnvironmentState, work: Deploying, seen: EnvironmentSeen): Decided {
  const { version, digest } = work.target
  if (work.how === 'follow' && !leadsThere(state.name, seen.publicRoute, work.target.endpoints))
    return abandon(state, work, 'the public route leads elsewhere by now', seen.now)
  if (seen.asWanted && seen.answer?.digest === digest) {
    const aliasing = { ...work, stage: 'aliasing' as const, since: seen.now }
    return unchanged({ ...state, work: aliasing, message: `version ${version} answers, moving the alias` })
  }
  const answers = seen.answer === null ? 'nothing answers' : `${seen.answer.digest} answers`
  const why = seen.asWanted ? `${answers} at its own route` : 'the gateway does not apply the route'
  // what somebody else decided is not undone, however long it takes to answer
  if (work.how !== 'follow' && seen.now - work.since > VERIFY_LIMIT_MS)
    return unchanged(
      withdraw(
        state,
        work,
        `version ${version} was not seen within ${VERIFY_LIMIT_MS / 1000} s: ${why}`,
        seen.now,
      ),
    )
  return unchanged({ ...state, message: `switching to version ${version}: ${why}` })
}

function awaitAlias(
  state: EnvironmentState,
  work: Deploying,
  seen: EnvironmentSeen,
  { keepWarmMs }: EnvironmentLimits,
): Decided {
  const { target, revision, good } = work
  const refusal = whyNotRegistered(target, seen.registered)
  if (refusal !== null) return abandon(state, work, `${target.digest} answers, but ${refusal}`, seen.now)
  if (seen.alias !== target.version) {
    const reason = seen.alias === undefined ? 'the registry does not answer' : 'its alias is moving'
    return unchanged({ ...state, message: `version ${target.version} answers; ${reason}` })
  }
  const warm = warmAfter(state, work, seen.now + keepWarmMs).filter(
    ({ deployment }) => deployment === null || deployment !== target.deployment,
  )
  const current = { ...target, revision }
  return {
    state: {
      ...state,
      current,
      work: null,
      warm,
      pendingReturn: null,
      message: `version ${target.version} runs`,
    },
    outcome: { kind: 'verified', revision, at: seen.now, good, placement: target },
  }
}

/** The public route is left as others lead it; of what was switched, an environment's own route leads back. */
function abandon(state: EnvironmentState, work: Deploying, failure: string, now: number): Decided {
  if (work.how !== 'follow' || state.name !== 'production')
    return unchanged(withdraw(state, work, failure, now))
  return {
    state: { ...state, work: null, message: failure },
    outcome: { kind: 'failed', revision: work.revision, failure, tell: false },
  }
}

function giveUp(state: EnvironmentState, work: Deploying, seen: EnvironmentSeen): Decided {
  const { current } = state
  const isBack = current === null || seen.answer?.digest === current.digest
  // what is not there any more cannot answer, and is no reason to wait for ever
  const tooLong = seen.now - work.since > VERIFY_LIMIT_MS
  if (!seen.asWanted || (!isBack && !tooLong) || !isAliasBack(state, work, seen)) return unchanged(state)
  const failure = work.failure ?? 'given up'
  const pendingReturn = afterFailedReturn(state, work, seen.now) ?? state.pendingReturn
  const again =
    !work.returns || pendingReturn === null ? '' : `; ${describeReturn(state.name, pendingReturn)}`
  const warm = withoutBroken(state, work)
  return {
    state: { ...state, work: null, warm, pendingReturn, message: `${failure}${again}` },
    outcome: { kind: 'failed', revision: work.revision, failure, gate: work.gate, tell: false },
  }
}

function close(state: EnvironmentState, work: Closing, seen: EnvironmentSeen): Decided {
  if (!seen.asWanted || seen.alias !== null) return unchanged(state)
  return {
    state: {
      ...state,
      current: null,
      work: null,
      pendingReturn: null,
      message: `stopped: ${work.reason}`,
    },
    outcome: { kind: 'closed' },
  }
}

function unchanged(state: EnvironmentState): Decided {
  return { state, outcome: null }
}
