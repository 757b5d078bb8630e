import type { Deploying, EnvironmentState, PendingReturn } from './environment-state.ts'

// A version that was good may fail to start when it is returned to: its files are away for a moment, or the machine is full. The
// environment then runs what was to be left, so the return is tried again, each time later, and not for ever.

const FIRST_DELAY_MS = 10_000
const DELAY_LIMIT_MS = 600_000
export const MAX_RETURNS = 8

/** What is to be done about a return that has come to nothing; null: nobody wants it any more. Pure. */
export function afterFailedReturn(
  { current, pendingReturn: before }: EnvironmentState,
  { returns, target }: Deploying,
  now: number,
): PendingReturn | null {
  if (!returns || current === null) return null // an earlier Weir began deployments without
  const tries = (before?.from === current.revision ? before.tries : 0) + 1
  const delay = Math.min(DELAY_LIMIT_MS, FIRST_DELAY_MS * 2 ** (tries - 1))
  const nextAt = tries < MAX_RETURNS ? now + delay : null
  return { from: current.revision, version: target.version, tries, nextAt, ...returns }
}

/** Whether it is time, and the deployment that is to be left is what runs still. */
export function isReturnDue({ work, current, pendingReturn }: EnvironmentState, now: number): boolean {
  if (work !== null || pendingReturn === null || pendingReturn.nextAt === null) return false
  return current?.revision === pendingReturn.from && pendingReturn.nextAt <= now
}

export function describeReturn(name: string, { version, tries, nextAt }: PendingReturn): string {
  if (nextAt === null)
    return `given up to return to version ${version} after ${tries} tries; weir env rollback ${name} tries again`
  return `returning to version ${version} is tried again at ${new Date(nextAt).toISOString()} (${tries} of ${MAX_RETURNS} tries failed)`
}
