import type { SplitBy } from '../../contract/policy.ts'
import { canonicalJson } from '../../lib/hash.ts'
import { withArms } from './arms-policy.ts'
import { withBaseline } from './baseline.ts'
import { isJudged, type HeaderRoute, type Recreation, type RolloutState } from './rollout-state.ts'

/**
 * The part of a route's policy that a rollout decides, as the gateway's operator API takes it. Weights in percent. Variants beside
 * stable and candidate belong to the rollout: null takes one away.
 */
export interface WantedPolicy {
  readonly weights: {
    readonly stable: number
    readonly candidate: number
    readonly [variant: string]: number | null
  }
  readonly variants: {
    readonly stable: { readonly endpoints: readonly string[] }
    readonly candidate: { readonly endpoints: readonly string[] }
    readonly [variant: string]: { readonly endpoints: readonly string[] } | null
  }
  /** Absent: left as it is. */
  readonly mirror?: { readonly to: 'candidate'; readonly percent: number }
  /** Absent: left as they are. */
  readonly notice?: string | null
  /** Absent: left as they are. */
  readonly headerRoutes?: readonly (HeaderRoute & { readonly to: string })[]
  /** Absent: left as it is. */
  readonly splitBy?: SplitBy | null
}

/**
 * What the policy should say while a rollout is in this state. Until the candidate is deployed its variant keeps its old
 * endpoints, at weight 0; a promoted version takes the stable variant, and the version that it replaces stays warm at 0.
 */
export function wantedPolicy(state: RolloutState): WantedPolicy {
  return withBaseline(withArms(ofStableAndCandidate(state), state), state)
}

function ofStableAndCandidate(state: RolloutState): WantedPolicy {
  const stable = state.stable.endpoints
  const candidate = state.candidate.endpoints
  if (state.recreation !== null) return whileRecreated(state, state.recreation)
  switch (state.phase) {
    case 'Progressing':
    case 'Paused':
      return policy(state, state.weightBp, { stable, candidate })
    case 'Promoting':
    case 'Promoted':
      if (state.weightBp < 10_000) return policy(state, state.weightBp, { stable, candidate }) // not enough processes yet
      return policy(state, 0, { stable: candidate, candidate: stable })
    default:
      if (state.weightBp > 0) return policy(state, state.weightBp, { stable, candidate }) // given back process by process
      return policy(state, 0, { stable, candidate: state.previousCandidateEndpoints })
  }
}

/** Only one of the versions is there at a time, and between them nobody. */
function whileRecreated(state: RolloutState, { stage, notice }: Recreation): WantedPolicy {
  const { stable, candidate, previousCandidateEndpoints, phase } = state
  const told = { notice: stage === 'old' && isJudged(state) ? notice : null }
  const alone = { stable: candidate.endpoints, candidate: [] }
  if (phase === 'Promoting' || phase === 'Promoted') return { ...policy(state, 0, alone), ...told }
  if (stage === 'old')
    return {
      ...policy(state, 0, { stable: stable.endpoints, candidate: previousCandidateEndpoints }),
      ...told,
    }
  const isOpen = stage === 'new' && isJudged(state)
  const present = { stable: [], candidate: isOpen ? candidate.endpoints : [] }
  return { ...policy(state, isOpen ? 10_000 : 0, present), ...told }
}

function policy(
  { mirrorPercent, headerRoute }: RolloutState,
  weightBp: number,
  { stable, candidate }: { readonly stable: readonly string[]; readonly candidate: readonly string[] },
): WantedPolicy {
  return {
    // without any stable version the route is closed to what the candidate does not take
    weights: { stable: stable.length === 0 ? 0 : (10_000 - weightBp) / 100, candidate: weightBp / 100 },
    variants: { stable: { endpoints: stable }, candidate: { endpoints: candidate } },
    ...(mirrorPercent === null ? {} : { mirror: { to: 'candidate', percent: mirrorPercent } }),
    ...(headerRoute === null
      ? {}
      : { headerRoutes: headerRoute === 'off' ? [] : [{ ...headerRoute, to: 'candidate' }] }),
  }
}

/** Whether a policy as read from the gateway already says what is wanted. */
export function saysAll(policy: PolicyView, wanted: WantedPolicy): boolean {
  return (
    Object.keys(wanted.variants).every(variant => saysOfVariant(policy, wanted, variant)) &&
    (wanted.splitBy === undefined || sameSplit(policy.splitBy ?? null, wanted.splitBy)) &&
    (wanted.mirror === undefined || (policy.mirror?.percent ?? 0) === wanted.mirror.percent) &&
    (wanted.headerRoutes === undefined || sameRoutes(policy.headerRoutes, wanted.headerRoutes)) &&
    (wanted.notice === undefined || (policy.notice ?? null) === wanted.notice)
  )
}

function saysOfVariant(policy: PolicyView, { weights, variants }: WantedPolicy, variant: string): boolean {
  const wanted = variants[variant] ?? null
  const said = policy.variants[variant]
  if (wanted === null) return said === undefined
  return policy.weights[variant] === weights[variant] && sameEndpoints(said?.endpoints, wanted.endpoints)
}

function sameSplit(said: SplitBy | null, wanted: SplitBy | null): boolean {
  return canonicalJson(said) === canonicalJson(wanted)
}

export interface PolicyView {
  readonly weights: Readonly<Record<string, number>>
  readonly variants: Readonly<Record<string, { readonly endpoints: readonly string[] }>>
  readonly mirror?: { readonly percent: number } | undefined
  readonly sticky?: unknown
  readonly notice?: string | undefined
  readonly headerRoutes?: WantedPolicy['headerRoutes']
  readonly splitBy?: SplitBy | undefined
}

function sameRoutes(
  a: WantedPolicy['headerRoutes'] = [],
  b: NonNullable<WantedPolicy['headerRoutes']>,
): boolean {
  const same = (one: (typeof b)[number], other: (typeof b)[number] | undefined) =>
    one.header === other?.header && one.value === other.value && one.to === other.to
  return a.length === b.length && a.every((route, index) => same(route, b[index]))
}

function sameEndpoints(a: readonly string[] | undefined, b: readonly string[]): boolean {
  return a !== undefined && a.length === b.length && a.every((endpoint, index) => endpoint === b[index])
}
