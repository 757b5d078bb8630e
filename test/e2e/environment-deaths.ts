import type { Test } from 'tap'

// At which transitions of an environment real controllers are killed, and by what they are reached: environment-kills.test.ts.
// That these are all that the state machine has is tested in test/controller/environment-transitions.test.ts.

const INTO = ['switching → aliasing', 'aliasing → deployed'] as const
const STARTED = ['starting → switching', ...INTO] as const

export const PROMOTED: readonly string[] = ['promote begins', ...STARTED]
export const ROLLED_BACK: readonly string[] = ['rollback begins', ...STARTED]
export const REVERTED: readonly string[] = ['revert begins', ...STARTED]
export const FOLLOWED: readonly string[] = ['follow begins', ...INTO]
export const LED_ELSEWHERE: readonly string[] = ['follow begins', 'follow → given up']
export const CLOSED: readonly string[] = ['close begins', 'close → stopped']
export const NEVER_READY: readonly string[] = [
  'promote begins',
  'starting → returning',
  'returning → given up',
]
export const NEVER_SEEN: readonly string[] = [
  'promote begins',
  'starting → switching',
  'switched → returning',
  'returning → given up',
]
export const HELD: readonly string[] = ['held']

/** That a controller was killed before and after each of these, in one deployment of an environment. */
export function checkEnvironmentDeaths(
  t: Test,
  deaths: readonly string[],
  { of, transitions }: { readonly of: string; readonly transitions: readonly string[] },
): void {
  const expected = transitions.flatMap(transition =>
    ['before', 'after'].map(moment => `${moment} ${of}: ${transition}`),
  )
  t.same(
    deaths.filter(death => death.includes(` ${of}: `)).toSorted(),
    expected.toSorted(),
    `killed before and after each transition of ${of}, and of no other`,
  )
}
