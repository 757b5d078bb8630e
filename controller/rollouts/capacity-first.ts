import { suppliesOfArms, withArmSupplies } from './arm-supplies.ts'
import { baselineBp } from './baseline.ts'
import {
  inService,
  loadBp,
  READY_LIMIT_MS,
  replicasFor,
  supplyOf,
  missingOf,
  waitingFor,
  waitingSince,
  type Missing,
  type Supply,
} from './replicas.ts'
import type { Observation } from './rollout-machine.ts'
import { isJudged, isStableOut, type RolloutState } from './rollout-state.ts'
import { roll } from './rolling.ts'
import { withdraw } from './transitions.ts'

/** What becomes of a state whose processes were looked at. */
export interface Provided {
  readonly state: RolloutState
  /** The processes that `state` waits for; null: it has all that it needs. */
  readonly missing: Missing | null
}

/**
 * `next` is what was decided. Where it takes processes that are not in service yet, the rollout stays where it is until they are,
 * and then decides again; where it takes fewer, they leave the policy together with the traffic. Pure.
 */
export function capacityFirst(own: RolloutState, next: RolloutState, seen: Observation): RolloutState {
  if (!isCarried(next)) return next
  const { state, missing } = next.replicas.rolling === null ? beside(own, next, seen) : roll(own, next, seen)
  if (missing === null || isStableOut(state)) return state
  if (missing.kind === 'never') return withdraw(state, 'not-ready', missing.reason, seen.now)
  if (seen.now - (state.replicas.waitingSince ?? seen.now) <= READY_LIMIT_MS) return state
  const late = `more processes were not ready within ${READY_LIMIT_MS / 1000} s`
  return withdraw(state, 'not-ready', late, seen.now)
}

/** The policy deals by this state's weight; not by one that somebody else wrote, nor to versions that take turns. */
function isCarried(state: RolloutState): boolean {
  if (state.recreation !== null || state.cause === 'manual-change') return false
  return isJudged(state) || state.phase === 'Promoting'
}

/** The candidate has processes of its own, beside all of stable's. */
function beside(own: RolloutState, next: RolloutState, seen: Observation): Provided {
  const { replicas, candidate } = next
  const isOther = own.deployment.id !== next.deployment.id // an experiment's winner has taken the place
  const ofCandidate = supplyOf({
    who: `version ${candidate.version}`,
    need: replicasFor(loadBp(next), replicas),
    endpoints: candidate.endpoints,
    wanted: isOther ? 0 : replicas.candidate,
    digest: candidate.digest,
    status: isOther ? undefined : seen.candidate,
  })
  const ofBaseline = supplyOfBaseline(next, seen)
  const supplies = { ofCandidate, ofBaseline, ofArms: suppliesOfArms(next, seen), now: seen.now }
  const missing = missingOf(allOf(supplies))
  if (!missing) {
    const state = withSupplies(next, { ...supplies, isMissing: false })
    return { state, missing: null }
  }
  // the winner's processes were enough for its arm alone: until there are more, stable answers everybody
  const stays = isOther ? { ...next, weightBp: 0 } : own
  const state = withSupplies(stays, { ...supplies, isMissing: true })
  return { state: waitingFor(state, missing.reason), missing }
}

function supplyOfBaseline({ replicas, weightBp, stable }: RolloutState, seen: Observation): Supply | null {
  const { baseline } = replicas
  return (
    baseline &&
    supplyOf({
      who: 'the baseline',
      need: replicasFor(baselineBp(weightBp), replicas),
      endpoints: baseline.endpoints,
      wanted: baseline.wanted,
      digest: stable.digest,
      status: seen.baseline,
    })
  )
}

interface Supplies {
  readonly ofCandidate: Supply
  readonly ofBaseline: Supply | null
  readonly ofArms: ReadonlyMap<string, Supply>
}

function allOf({ ofCandidate, ofBaseline, ofArms }: Supplies): readonly (Supply | null)[] {
  return [ofCandidate, ofBaseline, ...ofArms.values()]
}

function withSupplies(
  state: RolloutState,
  supplies: Supplies & { readonly isMissing: boolean; readonly now: number },
): RolloutState {
  const { replicas } = state
  const { ofCandidate, ofBaseline, ofArms, isMissing, now } = supplies
  const candidate = inService(ofCandidate, state.candidate.endpoints, isMissing)
  const baseline =
    replicas.baseline && ofBaseline
      ? { ...replicas.baseline, ...inService(ofBaseline, replicas.baseline.endpoints, isMissing) }
      : null
  return {
    ...state,
    candidate: { ...state.candidate, endpoints: candidate.endpoints },
    experiment: withArmSupplies(state, ofArms, isMissing),
    replicas: {
      ...replicas,
      candidate: candidate.wanted,
      baseline,
      waitingSince: waitingSince(state, allOf(supplies), now),
    },
  }
}
