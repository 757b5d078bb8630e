import { ENVIRONMENTS, type EnvironmentName, type How } from '../../contract/environment.ts'
import {
  begin,
  nextEnvironment,
  withdrawByPerson,
  type Outcome,
} from '../../controller/lifecycle/environment-machine.ts'
import type { EnvironmentSeen } from '../../controller/lifecycle/environment-seen.ts'
import {
  emptyEnvironment,
  type EnvironmentState,
  type HistoryEntry,
  type Placement,
} from '../../controller/lifecycle/environment-state.ts'
import { deployAgain, returnAgain, revert } from '../../controller/lifecycle/revert.ts'

/** What kinds of transition lead from one state of an environment to another; none where only what is known has changed. */
export function transitionsOf(before: EnvironmentState, after: EnvironmentState): string[] {
  const held = before.held === null && after.held !== null ? ['held'] : []
  return [...held, ...workTransitions(before, after)]
}

function workTransitions({ work: before }: EnvironmentState, after: EnvironmentState): string[] {
  const { work } = after
  if (work === null) return before === null ? [] : [endOf(before, after)]
  if (before === null || before.revision !== work.revision || before.kind !== work.kind)
    return [`${work.kind === 'close' ? 'close' : work.how} begins`]
  if (work.kind === 'close' || before.kind === 'close' || before.stage === work.stage) return []
  // what is led back depends on whether anything was switched, and not on how far it had come then
  const from = work.stage === 'returning' && before.stage !== 'starting' ? 'switched' : before.stage
  return [`${from} → ${work.stage}`]
}

function endOf(before: NonNullable<EnvironmentState['work']>, { current }: EnvironmentState): string {
  if (before.kind === 'close') return 'close → stopped'
  if (before.stage === 'aliasing' && current?.revision === before.revision) return 'aliasing → deployed'
  return before.stage === 'returning' ? 'returning → given up' : 'follow → given up'
}

const NOW = 1_750_000_000_000
const LIMITS = { readyWithinMs: 60_000, keepWarmMs: 600_000 }
const BY = { actor: 'ada', reason: 'a test' }
const ENDPOINT = 'http://127.0.0.1:9101'
const NEXT: Placement = { version: '2', digest: 'sha256:two', deployment: 'two', endpoints: [ENDPOINT] }
const OTHER = ['http://127.0.0.1:9109']

/**
 * Every kind of transition that the state machine of environments has: from nothing on, each state that it reaches is shown
 * everything that can be seen, and everything that can be asked for is.
 */
export function listEnvironmentTransitions(): ReadonlySet<string> {
  return new Set(ENVIRONMENTS.flatMap(name => [...transitionsFrom(name)]))
}

function transitionsFrom(name: EnvironmentName): ReadonlySet<string> {
  const found = new Set<string>()
  const first = emptyEnvironment(name, 'food11')
  const reached = new Map([[keyOf(first), first]])
  for (const state of reached.values())
    for (const next of successors(state)) {
      for (const transition of transitionsOf(state, next)) found.add(transition)
      if (!reached.has(keyOf(next))) reached.set(keyOf(next), next)
    }
  return found
}

/** States alike in this have the same transitions; revisions, times and messages are left out. */
function keyOf({ current, work, pendingReturn, held }: EnvironmentState): string {
  const { kind = null } = work ?? {}
  const deploying = work?.kind === 'deploy' && [work.how, work.stage, work.candidateBefore === null]
  const pending = pendingReturn && [pendingReturn.from === current?.revision, pendingReturn.nextAt === null]
  return JSON.stringify([current?.version ?? null, kind, deploying, pending, held === null])
}

function* successors(state: EnvironmentState): Generator<EnvironmentState> {
  const { work, current } = state
  const good = entryOf({ ...NEXT, version: '1', digest: 'sha256:one' }, 0, 'promote')
  if (work === null) {
    yield begin(state, { how: 'promote', ...BY, target: NEXT, good: null, now: NOW }).state
    yield deployAgain(state, good, { how: 'rollback', ...BY, now: NOW }).state
    yield returnAgain(state, [good], NOW).state
  }
  if (work?.kind === 'deploy' && work.stage !== 'returning')
    yield withdrawByPerson(state, work, 'rolled back', NOW)
  for (const revision of [current?.revision, work?.revision].filter(known => known !== undefined)) {
    const failed = entryOf(current ?? NEXT, revision, 'promote')
    for (const history of [[failed], [good, failed]])
      yield revert(state, history, { revision, ...BY, now: NOW }).state
  }
  for (const seen of observations(state)) yield nextEnvironment(state, seen, LIMITS).state
}

function entryOf(placement: Placement, revision: number, how: How): HistoryEntry {
  const begun = begin(emptyEnvironment('staging', 'food11'), {
    how,
    ...BY,
    target: placement,
    good: null,
    now: NOW,
  })
  return { ...entryIn(begun.outcome), revision, verifiedAt: NOW, goodAt: NOW, goodBy: 'its gates' }
}

function entryIn(outcome: Outcome | null): HistoryEntry {
  if (outcome?.kind === 'begun') return outcome.entry
  throw new Error('nothing was begun')
}

/** From a look at which all goes well, one thing after the other is seen differently, soon and too late. */
function* observations({ work, current }: EnvironmentState): Generator<EnvironmentSeen> {
  const deploying = work?.kind === 'deploy' ? work : null
  const target = deploying?.stage === 'returning' ? (current ?? NEXT) : (deploying?.target ?? NEXT)
  const there = target.endpoints.length === 0 ? [ENDPOINT] : target.endpoints
  const well: EnvironmentSeen = {
    now: NOW,
    asWanted: true,
    target: { kind: 'ready', endpoints: there, digest: target.digest },
    ending: null,
    answer: target,
    alias: work?.kind === 'close' ? null : target.version,
    registered: { version: target.version, digest: target.digest },
    publicRoute: { stable: { endpoints: there, weights: { stable: 100 } }, candidate: there },
    found: null,
    held: null,
    gone: null,
  }
  for (const now of [NOW, NOW + 86_400_000])
    for (const difference of differences(target)) yield { ...well, now, ...difference }
}

function differences(target: Placement): readonly Partial<EnvironmentSeen>[] {
  const placement = { ...NEXT, version: '3', digest: 'sha256:three', deployment: null, endpoints: OTHER }
  const at = new Date(NOW).toISOString()
  const ending = { gate: 'resources', verdict: 'fail' as const, reason: 'OOM', evidence: null }
  return [
    {},
    { asWanted: false },
    { answer: null },
    { target: { kind: 'absent' } },
    { target: { kind: 'ready', endpoints: OTHER, digest: 'sha256:other' } },
    { target: { kind: 'absent' }, ending: { ...ending, startedAt: at, endedAt: at } },
    { alias: undefined },
    { alias: 'another' },
    { registered: { version: target.version, problem: 'it is gone' } },
    { publicRoute: null },
    { publicRoute: { stable: { endpoints: OTHER, weights: { stable: 100 } }, candidate: OTHER } },
    { found: { placement, reason: 'a person led the route there', good: null } },
    { held: 'a server calls itself version 9' },
    { gone: 'it runs no more' },
  ]
}
