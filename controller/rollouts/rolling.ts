import type { Provided } from './capacity-first.ts'
import {
  inService,
  missingOf,
  nextShareBp,
  replicasFor,
  saying,
  supplyOf,
  waitingFor,
  waitingSince,
  type Rolling,
  type Supply,
} from './replicas.ts'
import type { Observation } from './rollout-machine.ts'
import type { RolloutState } from './rollout-state.ts'

// Where a version replaces stable's processes one by one, and the weights follow the share that is replaced. Pure.

/** Stable has fewer processes than the traffic needs, because others have taken their places. */
export function isReplaced({ replicas, stable }: Pick<RolloutState, 'replicas' | 'stable'>): boolean {
  return replicas.rolling !== null && stable.endpoints.length < replicas.full
}

/**
 * One process towards the weight of `next`: the one that comes is in service before the one that goes leaves the policy. So no
 * fewer carry the traffic than at the beginning, and at most one more runs, beside those that drain.
 */
export function roll(own: RolloutState, next: RolloutState, seen: Observation): Provided {
  const { replicas } = own
  const { rolling, full } = replicas
  if (rolling === null) return { state: next, missing: null }
  const weightBp = nextShareBp(own.weightBp, next.weightBp, full)
  const need = {
    candidate: replicasFor(weightBp, replicas),
    stable: replicasFor(10_000 - weightBp, { full, least: 1 }),
  }
  const supplies = { ...suppliesOf(own, rolling, { need, weightBp, seen }), now: seen.now }
  const missing = missingOf([supplies.candidate, supplies.stable])
  if (missing) {
    const state = withSupplies(own, rolling, { ...supplies, isMissing: true })
    return { state: waitingFor(state, missing.reason), missing }
  }
  const isThere = supplies.candidateNeeds >= need.candidate && supplies.stableNeeds >= need.stable
  const moved = isThere ? saying({ ...own, weightBp }, `weight ${weightBp / 100} %`) : own
  const state = isThere && weightBp === next.weightBp ? next : moved
  return { state: withSupplies(state, rolling, { ...supplies, isMissing: false }), missing: null }
}

interface Towards {
  readonly need: { readonly candidate: number; readonly stable: number }
  readonly weightBp: number
  readonly seen: Observation
}

/** What is still wanted of a way that was given up is not wanted any more. */
function suppliesOf(own: RolloutState, rolling: Rolling, { need, weightBp, seen }: Towards) {
  const { candidate, stable } = own
  const isBack = own.phase === 'RollingBack' || weightBp < own.weightBp
  // after an abort stable has all of the traffic already: its processes come back all at once
  const step = isBack && own.weightBp === 0 ? Infinity : 1
  const candidateNeeds = Math.min(need.candidate, candidate.endpoints.length + step)
  const stableNeeds = Math.min(need.stable, stable.endpoints.length + step)
  return {
    candidateNeeds,
    stableNeeds,
    candidate: supplyOf({
      who: `version ${candidate.version}`,
      need: candidateNeeds,
      endpoints: candidate.endpoints,
      wanted: isBack ? 0 : own.replicas.candidate,
      digest: candidate.digest,
      status: seen.candidate,
    }),
    stable: supplyOf({
      who: `version ${stable.version}`,
      need: stableNeeds,
      endpoints: stable.endpoints,
      wanted: weightBp > own.weightBp ? 0 : rolling.stable,
      digest: stable.digest,
      status: seen.stableProcess,
    }),
  }
}

interface Supplies {
  readonly candidate: Supply
  readonly stable: Supply
  readonly isMissing: boolean
  readonly now: number
}

function withSupplies(state: RolloutState, rolling: Rolling, supplies: Supplies): RolloutState {
  const { isMissing, now } = supplies
  const candidate = inService(supplies.candidate, state.candidate.endpoints, isMissing)
  const stable = inService(supplies.stable, state.stable.endpoints, isMissing)
  return {
    ...state,
    candidate: { ...state.candidate, endpoints: candidate.endpoints },
    stable: { ...state.stable, endpoints: stable.endpoints },
    replicas: {
      ...state.replicas,
      candidate: candidate.wanted,
      rolling: { ...rolling, stable: stable.wanted },
      waitingSince: waitingSince(state, [supplies.candidate, supplies.stable], now),
    },
  }
}
