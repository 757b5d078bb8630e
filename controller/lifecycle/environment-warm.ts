import type { Deploying, EnvironmentState, Placement, Warm } from './environment-state.ts'

/** What was replaced stays ready to be returned to; what was left because it is bad does not. */
export function warmAfter(
  { warm, current }: EnvironmentState,
  { how }: Deploying,
  until: number,
): readonly Warm[] {
  const left = how === 'rollback' || how === 'revert'
  return current === null || left ? warm : [{ ...current, until }, ...warm]
}

/** What was kept long enough. */
export function letCool(state: EnvironmentState, now: number): EnvironmentState {
  const warm = state.warm.filter(({ until }) => until > now)
  return warm.length === state.warm.length ? state : { ...state, warm }
}

/** What was kept warm and came to nothing when it was returned to is none to come back to. */
export function withoutBroken({ warm }: EnvironmentState, { target }: Deploying): readonly Warm[] {
  return warm.filter(({ deployment }) => deployment !== target.deployment)
}

/**
 * With how many processes a deployment begins that no setting counts; undefined: as many as there are, or one. What serves users
 * needed as many as it has, which a rollout may have brought or a person chosen; what is kept warm is not to wait for more.
 */
export function instancesWithoutSetting(
  { name, current }: EnvironmentState,
  { endpoints }: Placement,
): number | undefined {
  return name === 'production' && endpoints.length === 0 ? current?.endpoints.length : undefined
}
