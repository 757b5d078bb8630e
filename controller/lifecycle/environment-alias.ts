import type { EnvironmentSeen } from './environment-seen.ts'
import { wasSwitched, type Deploying, type EnvironmentState } from './environment-state.ts'
import { isRegistered, whyNotRegistered } from './registered-as.ts'

// An environment's alias leads to the version that runs there, and only where that is registered with exactly that content.

/** Whether the alias leads to what is given up no more; where it was not moved it stays with what somebody else chose. */
export function isAliasBack(
  { current }: EnvironmentState,
  work: Deploying,
  { alias }: Pick<EnvironmentSeen, 'alias'>,
): boolean {
  if (!wasSwitched(work)) return true
  const { target } = work
  return alias !== undefined && (alias !== target.version || alias === current?.version)
}

/** Where the alias is to lead to by now; undefined: it is left where it is. */
export function wantedAlias(
  { work, current }: EnvironmentState,
  { alias, registered }: Pick<EnvironmentSeen, 'alias' | 'registered'>,
): string | null | undefined {
  if (work === null || alias === undefined) return undefined
  if (work.kind === 'close') return null
  if (work.stage === 'aliasing')
    return isRegistered(work.target, registered) ? work.target.version : undefined
  if (work.stage !== 'returning' || alias !== work.target.version) return undefined
  if (current === null || whyNotRegistered(current, registered) !== null) return null
  return isRegistered(current, registered) ? current.version : undefined
}
