import type { DeploymentStatus } from '../runtime/runtime.ts'
import { isJudged, type RolloutState } from './rollout-state.ts'

// How many processes a version needs for what it is given, and whether they are there. Pure.

export interface Replicas {
  /** Of stable when the rollout began: so many carry all of the traffic. */
  readonly full: number
  /** The candidate has no fewer, whatever its weight. */
  readonly least: number
  /** The candidate's that are wanted; its endpoints are those in service. */
  readonly candidate: number
  /** Since when a decision waits for more of them, ms since the epoch; null: none does. */
  readonly waitingSince: number | null
  /** Stable's processes are replaced one by one; null: they stay. */
  readonly rolling: Rolling | null
  /** What the candidate is compared with in place of all of stable; null: with stable. */
  readonly baseline: Baseline | null
}

export interface Rolling {
  /** The deployment that is stable. */
  readonly stableId: string
  /** Stable's that are wanted; its endpoints are those in service. */
  readonly stable: number
}

export interface Baseline {
  readonly id: string
  readonly wanted: number
  readonly endpoints: readonly string[]
}

/** More of them have this long to become ready. */
export const READY_LIMIT_MS = 120_000

/** Weights have two decimals, so that a third is a little less than one process of three. */
const ROUNDING = 0.01

/** So many for a share of the traffic in hundredths of a percent: in proportion to what carries all of it, rounded up. */
export function replicasFor(loadBp: number, { full, least }: Pick<Replicas, 'full' | 'least'>): number {
  return Math.max(1, least, Math.ceil((loadBp * full) / 10_000 - ROUNDING))
}

/** What the candidate has to do: live requests, and copies of those that stable gets. */
export function loadBp({ weightBp, mirrorPercent }: Pick<RolloutState, 'weightBp' | 'mirrorPercent'>) {
  return weightBp + ((10_000 - weightBp) * (mirrorPercent ?? 0)) / 100
}

/** With those of the candidate that a weight takes which is in force already. */
export function replicasForWeight(
  state: Pick<RolloutState, 'replicas' | 'candidate' | 'weightBp' | 'mirrorPercent' | 'recreation'>,
): Replicas {
  const { replicas, candidate, recreation } = state
  if (replicas.rolling !== null || recreation !== null) return replicas // they have no room beside stable
  const need = replicasFor(loadBp(state), replicas)
  return { ...replicas, candidate: Math.max(candidate.endpoints.length, need) }
}

/** Enough of the candidate is in service to take all of the traffic. */
export function isComplete({ candidate, replicas }: Pick<RolloutState, 'candidate' | 'replicas'>): boolean {
  return candidate.endpoints.length >= replicasFor(10_000, replicas)
}

/** How many processes are replaced one by one; undefined: they stay. */
export function replacedOf({ replicas }: Pick<RolloutState, 'replicas'>): number | undefined {
  return replicas.rolling === null ? undefined : replicas.full
}

/** The weight after one more process, or one fewer, is replaced: on the way from one weight to another. */
export function nextShareBp(fromBp: number, toBp: number, full: number): number {
  const replaced = (fromBp * full) / 10_000
  if (toBp > fromBp) return Math.min(toBp, shareBp(Math.floor(replaced + ROUNDING) + 1, full))
  if (toBp < fromBp) return Math.max(toBp, shareBp(Math.ceil(replaced - ROUNDING) - 1, full))
  return toBp
}

function shareBp(replicas: number, full: number): number {
  return Math.round((replicas * 10_000) / full)
}

export function waitingFor(state: RolloutState, reason: string): RolloutState {
  return saying(state, `waiting for more processes: ${reason}`)
}

/** While it ends, what is said is why it ends. */
export function saying(state: RolloutState, message: string): RolloutState {
  return isJudged(state) ? { ...state, message } : state
}

interface Needed {
  readonly who: string
  readonly need: number
  /** In service. */
  readonly endpoints: readonly string[]
  readonly wanted: number
  readonly digest: string
  readonly status: DeploymentStatus | undefined
}

export type Supply =
  | {
      readonly kind: 'enough'
      readonly endpoints: readonly string[]
      readonly wanted: number
      /** More were wanted before, are not needed at present, and have not come yet. */
      readonly isComing: boolean
    }
  | { readonly kind: 'waiting' | 'never'; readonly wanted: number; readonly reason: string }

export type Missing = Exclude<Supply, { kind: 'enough' }>

export function missingOf(supplies: readonly (Supply | null)[]): Missing | null {
  return supplies.find(supply => supply !== null && supply.kind !== 'enough') ?? null
}

/** Who is in service from now on. While anything else is missing, nobody leaves. */
export function inService(
  supply: Supply,
  present: readonly string[],
  isMissing: boolean,
): { readonly endpoints: readonly string[]; readonly wanted: number } {
  const given = supply.kind === 'enough' ? supply.endpoints : present
  const endpoints = isMissing && given.length < present.length ? present : given
  return { endpoints, wanted: Math.max(endpoints.length, supply.wanted) }
}

/** Whether a version has the processes that it needs; each is in service only after exactly this version was seen ready there. */
export function supplyOf({ who, need, endpoints, wanted, digest, status }: Needed): Supply {
  const ready = status?.kind === 'ready' && status.digest === digest ? status.endpoints : []
  if (need < endpoints.length) return enough(endpoints.slice(0, need))
  const all = Math.max(need, wanted)
  if (need === endpoints.length)
    return { ...enough(endpoints), wanted: all, isComing: all > need && ready.length < all }
  if (ready.length >= need) return enough(ready.slice(0, need))
  if (status?.kind === 'refused') return { kind: 'never', wanted: all, reason: `${who}: ${status.reason}` }
  if (status?.kind === 'ready' && status.digest !== digest)
    return { kind: 'never', wanted: all, reason: `${who} answers with ${status.digest}, not ${digest}` }
  const reason = status?.kind === 'starting' ? status.reason : 'not deployed yet'
  return { kind: 'waiting', wanted: all, reason: `${who}: ${reason}` }
}

function enough(endpoints: readonly string[]): Extract<Supply, { kind: 'enough' }> {
  return { kind: 'enough', endpoints, wanted: endpoints.length, isComing: false }
}

/** The clock of those that are waited for: it runs on while they are not needed at present, until they have come. */
export function waitingSince(
  { replicas }: Pick<RolloutState, 'replicas'>,
  supplies: readonly (Supply | null)[],
  now: number,
): number | null {
  if (missingOf(supplies) !== null) return replicas.waitingSince ?? now
  const isComing = supplies.some(supply => supply?.kind === 'enough' && supply.isComing)
  return isComing ? replicas.waitingSince : null
}

/** Whose processes are fewer than they are to be. */
export function lacking({
  replicas,
  candidate,
  stable,
}: Pick<RolloutState, 'replicas' | 'candidate' | 'stable'>) {
  const { rolling, baseline } = replicas
  return {
    candidate: replicas.candidate > candidate.endpoints.length,
    stable: rolling !== null && rolling.stable > stable.endpoints.length,
    baseline: baseline !== null && baseline.wanted > baseline.endpoints.length,
  }
}
