import type { Test } from 'tap'

// At which transitions of the pipeline real controllers are killed, and in which test. That these are all that the state
// machine has is tested in test/controller/pipeline-transitions.test.ts.

/** A version on its way to production: lifecycle-kills.test.ts. */
export const TO_PRODUCTION: readonly string[] = [
  '→ Queued',
  'Queued → Running',
  'package begins',
  'package passed',
  'stagingRevision known',
  'deploy-staging passed',
  'verify-staging passed',
  'alias-staging passed',
  'gates passed',
  'canaryRevision known',
  'deploy-canary passed',
  'verify-canary passed',
  'alias-canary passed',
  'rollout known',
  'rollout passed',
  'approval known',
  'approval passed',
  'production passed',
  'alias-production passed',
  'Running → Passed',
]

const BACK: readonly string[] = ['Running → Reverting', 'Reverting → Failed']

/** By where versions fail: lifecycle-kills-failures.test.ts. */
export const BACK_FROM_STAGING: readonly string[] = ['staging failed', ...BACK]
export const BACK_FROM_GATES: readonly string[] = ['gates failed', ...BACK]

/** And how they are withdrawn later: lifecycle-kills-withdrawals.test.ts. */
export const BACK_FROM_CANARY: readonly string[] = ['canary failed', ...BACK]
export const BACK_FROM_ROLLOUT: readonly string[] = ['rollout failed', ...BACK]
export const REJECTED: readonly string[] = ['approval known', 'approval failed', ...BACK]
export const BACK_FROM_PRODUCTION: readonly string[] = ['production failed', ...BACK]

/** What is no fault of the version: lifecycle-kills-others.test.ts. */
export const BROKEN_OFF: readonly string[] = ['a step error', 'Running → Error']
export const NEVER_BEGUN: readonly string[] = ['→ Queued', 'Queued → Error', 'a step error']
export const CANCELLED: readonly string[] = [
  'a step cancelled',
  'Running → Reverting',
  'Reverting → Cancelled',
]
export const CANCELLED_IN_TURN: readonly string[] = ['Queued → Cancelled']
export const IN_PRODUCTION_ALREADY: readonly string[] = [
  'deploy-canary skipped',
  'verify-canary skipped',
  'alias-canary skipped',
  'rollout skipped',
  'approval skipped',
]

/** That a controller was killed before and after each of these in a run. */
export function checkDeaths(
  t: Test,
  deaths: readonly string[],
  { run, transitions }: { readonly run: string; readonly transitions: readonly string[] },
): void {
  const expected = transitions.flatMap(transition =>
    ['before', 'after'].map(moment => `${moment} ${run}: ${transition}`),
  )
  t.same(
    expected.filter(death => !deaths.includes(death)),
    [],
    `killed before and after each transition of ${run}`,
  )
}
