import { armsOf, fallOf, type Experiment } from './arms.ts'
import { BASELINE } from './baseline.ts'
import { isJudged, type RolloutState } from './rollout-state.ts'
import type { PolicyView, WantedPolicy } from './wanted-policy.ts'

// What an experiment adds to the part of the policy that a rollout decides.

/** What a rollout that made room left in the policy, and its successor takes away. */
export interface LeftOver {
  readonly variants: readonly string[]
  readonly splitBy: boolean
}

export function leftOverOf({ experiment, leftOver, replicas }: RolloutState): LeftOver | null {
  const own = [...extraVariants(experiment), ...(replicas.baseline === null ? [] : [BASELINE])]
  const variants = [...new Set([...(leftOver?.variants ?? []), ...own])]
  const splitBy = (experiment?.by ?? null) !== null || leftOver?.splitBy === true
  return variants.length > 0 || splitBy ? { variants, splitBy } : null
}

/** While it is judged, each arm in a variant of its own; before and afterwards none of them. */
export function withArms(wanted: WantedPolicy, state: RolloutState): WantedPolicy {
  const cleared = withoutArms(wanted, leftOverOf(state))
  const { experiment } = state
  if (experiment === null || !isJudged(state)) return cleared
  const { isDealt, by } = experiment
  const arms = armsOf(state).map(arm => {
    // its users keep their variant and are answered by stable's version: nobody else is dealt anew
    const { endpoints } = fallOf(experiment, arm.variant) ? state.stable : arm
    return { variant: arm.variant, endpoints, weightBp: isDealt ? arm.weightBp : 0 }
  })
  const stableBp = 10_000 - arms.reduce((sum, { weightBp }) => sum + weightBp, 0)
  const weights = arms.map(({ variant, weightBp }) => [variant, weightBp / 100] as const)
  const variants = arms.map(({ variant, endpoints }) => [variant, { endpoints }] as const)
  return {
    ...cleared,
    weights: { ...cleared.weights, ...Object.fromEntries(weights), stable: stableBp / 100 },
    variants: { ...cleared.variants, ...Object.fromEntries(variants) },
    ...(by && { splitBy: isDealt ? by : null }),
  }
}

function withoutArms(wanted: WantedPolicy, leftOver: LeftOver | null): WantedPolicy {
  if (leftOver === null) return wanted
  const none = Object.fromEntries(leftOver.variants.map(variant => [variant, null]))
  return {
    ...wanted,
    weights: { ...none, ...wanted.weights },
    variants: { ...none, ...wanted.variants },
    ...(leftOver.splitBy && { splitBy: null }),
  }
}

/** Those that the route has for the experiment alone. */
function extraVariants(experiment: Experiment | null): readonly string[] {
  if (experiment === null) return []
  const all = [experiment.main, ...experiment.others.map(({ variant }) => variant)]
  return all.filter(variant => variant !== 'candidate')
}

/** The arms that a policy deals users to. */
export function dealtTo(state: RolloutState, policy: PolicyView): readonly string[] {
  const { experiment } = state
  if (experiment === null) return []
  const byHeader = new Set(policy.splitBy?.rules.map(({ to }) => to))
  return armsOf(state)
    .map(({ variant }) => variant)
    .filter(variant => fallOf(experiment, variant) === undefined)
    .filter(variant => (policy.weights[variant] ?? 0) > 0 || byHeader.has(variant))
}
