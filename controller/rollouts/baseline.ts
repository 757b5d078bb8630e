import type { DeploymentStatus } from '../runtime/runtime.ts'
import { supplyOf, type Replicas } from './replicas.ts'
import { isJudged, type RolloutState } from './rollout-state.ts'
import type { WantedPolicy } from './wanted-policy.ts'

/** The variant in which a fresh process of stable's version runs. */
export const BASELINE = 'baseline'

/** As much as the candidate, or what it leaves. Hundredths of a percent. */
export function baselineBp(candidateBp: number): number {
  return Math.min(candidateBp, 10_000 - candidateBp)
}

/** Its weight is taken from stable's. Before the candidate is placed, and when the rollout ends, there is none. */
export function withBaseline(wanted: WantedPolicy, state: RolloutState): WantedPolicy {
  const { baseline } = state.replicas
  if (baseline === null || baseline.endpoints.length === 0 || !isCompared(state)) return wanted
  const weightBp = baselineBp(state.weightBp)
  return {
    ...wanted,
    weights: {
      ...wanted.weights,
      stable: (10_000 - state.weightBp - weightBp) / 100,
      [BASELINE]: weightBp / 100,
    },
    variants: { ...wanted.variants, [BASELINE]: { endpoints: baseline.endpoints } },
  }
}

/** Also while a promotion waits for processes: until then nothing has changed for anybody. */
function isCompared(state: RolloutState): boolean {
  return isJudged(state) || (state.phase === 'Promoting' && state.weightBp < 10_000)
}

type Placed =
  | { readonly kind: 'enough'; readonly replicas: Replicas }
  | { readonly kind: 'waiting' | 'never'; readonly reason: string }

/** Whether the baseline, where there is to be one, answers as exactly stable's version; then with the places where it does. */
export function placeBaseline(
  { replicas, stable }: RolloutState,
  status: DeploymentStatus | undefined,
): Placed {
  const { baseline } = replicas
  if (baseline === null) return { kind: 'enough', replicas }
  const { digest } = stable
  const need = { who: 'the baseline', need: baseline.wanted, wanted: baseline.wanted, endpoints: [], digest }
  const supply = supplyOf({ ...need, status })
  if (supply.kind !== 'enough') return supply
  return { kind: 'enough', replicas: { ...replicas, baseline: { ...baseline, endpoints: supply.endpoints } } }
}
