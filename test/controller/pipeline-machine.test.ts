import t from 'tap'
import type { GateResult } from '../../contract/gate.ts'
import {
  breakOff,
  effectOf,
  nextRun,
  type DeployedSeen,
} from '../../controller/lifecycle/pipeline-machine.ts'
import {
  IDLE,
  IN_PRODUCTION,
  NOTHING,
  NOW,
  RUNS,
  atGates,
  atRollout,
  result,
  rolloutAt,
  runOf,
  statuses,
  withOutputs,
} from './pipeline-states.ts'

t.test('one deployment is three steps: ready, seen by digest at its own route, aliased', async t => {
  const begun = nextRun(nextRun(runOf(), NOTHING), {
    ...NOTHING,
    packaged: { kind: 'there', message: 'there' },
  })
  t.same(effectOf(begun, NOTHING), { kind: 'deploy', to: 'staging' })
  const known = withOutputs(begun, { stagingRevision: 7 })
  t.same(effectOf(known, NOTHING), { kind: 'none' }, 'it is not begun twice')
  const at = (staging: Partial<DeployedSeen>) =>
    statuses(nextRun(known, { ...NOTHING, staging: { ...IDLE, ...staging } }))
  t.match(at({ stage: 'starting' }), /deploy-staging running, verify-staging pending/)
  t.match(at({ stage: 'switching' }), /deploy-staging passed, verify-staging running/)
  t.match(at({ stage: 'aliasing' }), /verify-staging passed, alias-staging running/)
  t.match(statuses(nextRun(known, { ...NOTHING, staging: RUNS })), /alias-staging passed, gates running/)
})

t.test('a deployment that is given up fails with the gate that names the cause, and reverts', async t => {
  const begun = nextRun(nextRun(runOf(), NOTHING), {
    ...NOTHING,
    packaged: { kind: 'there', message: 'there' },
  })
  const gate = result('resources', 'fail')
  const failed = nextRun(withOutputs(begun, { stagingRevision: 7 }), {
    ...NOTHING,
    staging: { ...IDLE, failure: 'resources: killed', gate },
  })
  t.match(failed, { phase: 'Reverting', message: 'deploy-staging: resources: killed' })
  t.same(failed.steps[1]?.evidence, [gate])
  t.match(statuses(failed), /gates skipped.*production skipped/)
  t.same(effectOf(failed, NOTHING), { kind: 'revert' })
})

t.test('a newer deployment in its place is an error, and nothing that the version did', async t => {
  const begun = nextRun(nextRun(runOf(), NOTHING), {
    ...NOTHING,
    packaged: { kind: 'there', message: 'there' },
  })
  const other = { ...IDLE, current: { version: '9', digest: 'sha256:nine', revision: 8 } }
  t.match(nextRun(withOutputs(begun, { stagingRevision: 7 }), { ...NOTHING, staging: other }), {
    phase: 'Error',
    message: /a newer deployment took its place/,
  })
})

t.test('gates: a failure reverts, an error is no pass and reverts nothing, all passes go on', async t => {
  const seen = (...results: GateResult[]) => ({
    ...NOTHING,
    staging: RUNS,
    gates: { results, complete: true },
  })
  const failed = nextRun(atGates(), seen(result('integration', 'pass'), result('load', 'fail')))
  t.match(failed, { phase: 'Reverting', message: 'gates: load: p95 was 2400 ms' })
  const unknown = nextRun(atGates(), seen(result('integration', 'pass'), result('load', 'error')))
  t.match(unknown, { phase: 'Error', message: 'gates: load: p95 was 2400 ms' })
  t.same(effectOf(unknown, NOTHING), { kind: 'none' })
  const passed = nextRun(atGates(), seen(result('integration', 'pass'), result('load', 'pass')))
  t.match(statuses(passed), /gates passed, deploy-canary running/)
  const some = nextRun(atGates(), {
    ...seen(result('integration', 'pass')),
    gates: { results: [result('integration', 'pass')], complete: false },
  })
  t.match(statuses(some), /gates running/, 'until all have been measured')
})

t.test('a rollout that waits for a person is the approval step; who approves lets it go on', async t => {
  const waiting = nextRun(atRollout(), rolloutAt('Paused', 'approval'))
  t.match(statuses(waiting), /rollout passed, approval running/)
  t.same(effectOf(waiting, rolloutAt('Paused', 'approval')), { kind: 'none' }, 'nobody approved yet')
  const approval = { by: 'ada', reason: null, at: NOW, approved: true }
  const approved = nextRun(withOutputs(waiting, { approval }), rolloutAt('Paused', 'approval'))
  t.match(statuses(approved), /approval passed, production running/)
  t.same(effectOf(approved, rolloutAt('Paused', 'approval')), {
    kind: 'decide-rollout',
    verb: 'approve',
    by: 'ada',
    reason: null,
  })
  t.same(effectOf(approved, rolloutAt('Progressing')), { kind: 'none' }, 'once')
  const promoted = rolloutAt('Promoted')
  t.match(nextRun(approved, promoted), { phase: 'Running' }, 'not before production runs exactly this digest')
  t.match(nextRun(approved, { ...promoted, ...IN_PRODUCTION }), { phase: 'Passed' })
})

t.test('a rejection fails the run, withdraws the rollout first and reverts then', async t => {
  const waiting = nextRun(atRollout(), rolloutAt('Paused', 'approval'))
  const approval = { by: 'ada', reason: 'not today', at: NOW, approved: false }
  const rejected = nextRun(withOutputs(waiting, { approval }), rolloutAt('Paused', 'approval'))
  t.match(rejected, { phase: 'Reverting', message: 'approval: rejected by ada: not today' })
  t.match(effectOf(rejected, rolloutAt('Paused', 'approval')), { verb: 'reject' })
  t.same(effectOf(rejected, rolloutAt('RollingBack')), { kind: 'none' })
  t.same(effectOf(rejected, rolloutAt('RolledBack')), { kind: 'revert' })
})

// A rollout that was withdrawn while it waited for a person was taken for approved: it was neither paused nor over.
t.test('a rollout that is withdrawn while it waits for a person is not approved', async t => {
  const waiting = nextRun(atRollout(), rolloutAt('Paused', 'approval'))
  const withdrawing = nextRun(waiting, rolloutAt('RollingBack'))
  t.match(statuses(withdrawing), /approval running/)
  t.match(nextRun(withdrawing, rolloutAt('RolledBack')), { phase: 'Reverting', message: /RolledBack: e 123/ })
})

t.test('the run ends when every deployment of it is gone, and says what runs there', async t => {
  const failed = nextRun(atRollout(), rolloutAt('RolledBack'))
  t.match(failed, { phase: 'Reverting' })
  t.match(nextRun(failed, rolloutAt('RolledBack')), { phase: 'Reverting' }, 'not before it is reverted')
  const current = { version: '1', digest: 'sha256:one', revision: 9 }
  const left = { ...IDLE, failure: 'rollout', reverted: true, current }
  const busy = { ...left, busy: true }
  t.match(nextRun(failed, { ...rolloutAt('RolledBack'), staging: left, canary: busy }), {
    phase: 'Reverting',
  })
  t.match(
    nextRun(failed, { ...rolloutAt('RolledBack'), staging: left, canary: { ...left, current: null } }),
    {
      phase: 'Failed',
      message: /staging runs version 1; canary is stopped/,
    },
  )
})

// A controller that was killed before it had reverted what had failed by itself ended the run in its next life: the registry never
// heard of the failure, and `development` led to the version still.
t.test(
  'the run does not end before the failure of a version that was never ready is known as its own',
  async t => {
    const gate = result('resources', 'fail')
    const seen = { ...NOTHING, staging: { ...IDLE, failure: 'resources: killed', gate } }
    const begun = nextRun(nextRun(runOf(), NOTHING), {
      ...NOTHING,
      packaged: { kind: 'there', message: 'there' },
    })
    const failed = nextRun(withOutputs(begun, { stagingRevision: 7 }), seen)
    t.match(nextRun(failed, seen), { phase: 'Reverting' })
    t.match(nextRun(failed, { ...seen, staging: { ...seen.staging, reverted: true } }), { phase: 'Failed' })
  },
)

t.test('a superseded rollout says nothing against the version', async t => {
  t.match(nextRun(atRollout(), rolloutAt('Superseded')), { phase: 'Error' })
})

t.test(
  'conditions: no approval where the evidence decides, no rollout of what production runs already',
  async t => {
    const automatic = nextRun(atRollout({ approval: 'automatic' }), rolloutAt('Promoted'))
    t.match(statuses(automatic), /rollout passed, approval skipped, production running/)
    const gates = { results: [], complete: true }
    const again = nextRun(atGates(), { ...NOTHING, staging: RUNS, gates, ...IN_PRODUCTION })
    t.match(again, { phase: 'Passed' })
    t.match(
      statuses(again),
      /deploy-canary skipped, verify-canary skipped, alias-canary skipped, rollout skipped, approval skipped/,
    )
  },
)

t.test('where the old version stops first, the person is asked before the rollout', async t => {
  const run = runOf({ strategy: { recreate: {} } })
  const names = run.steps.map(({ name }) => name)
  t.ok(names.indexOf('approval') < names.indexOf('rollout'))
  t.ok(names.indexOf('approval') > names.indexOf('alias-canary'))
})

t.test('what cannot be done ends the run as an error, with what follows skipped', async t => {
  const broken = breakOff(atGates(), 'the folder is gone', NOW)
  t.match(broken, { phase: 'Error', message: 'gates: the folder is gone' })
  t.match(statuses(broken), /gates error, deploy-canary skipped/)
})
