import t from 'tap'
import { cancel, effectOf, nextRun, type PipelineSeen } from '../../controller/lifecycle/pipeline-machine.ts'
import {
  DEPLOYED,
  IDLE,
  IN_PRODUCTION,
  NOTHING,
  NOW,
  RUNS,
  VERSION,
  atGates,
  atRollout,
  result,
  rolloutAt,
  runOf,
  statuses,
  withOutputs,
} from './pipeline-states.ts'

// In an outage of the registry or the gateway the version was marked as failed, for ever.
t.test(
  'a deployment that came to nothing without failing a gate is an error, and reverts nothing',
  async t => {
    const begun = withOutputs(
      nextRun(nextRun(runOf(), NOTHING), { ...NOTHING, packaged: { kind: 'there', message: 'there' } }),
      { stagingRevision: 7 },
    )
    const failure = 'version 2 was not seen within 30 s: the gateway does not apply the route'
    const staging = { ...IDLE, failure }
    const ended = nextRun(begun, { ...NOTHING, staging })
    t.match(ended, { phase: 'Error', message: `deploy-staging: ${failure}` })
    t.same(effectOf(ended, { ...NOTHING, staging }), { kind: 'none' })
    const gates = { results: [result('load', 'pass')], complete: true }
    t.match(nextRun(atGates(), { ...NOTHING, staging: { ...RUNS, failure }, gates }), { phase: 'Error' })
    const waiting = { ...atRollout(), outputs: { ...atRollout().outputs, rollout: null } }
    t.match(nextRun(waiting, { ...DEPLOYED, canary: { ...RUNS, failure } }), { phase: 'Error' })
  },
)

t.test(
  'files that cannot be asked for now are waited for, and what is wrong with them is an error',
  async t => {
    const begun = nextRun(runOf(), NOTHING)
    const at = (kind: 'away' | 'wrong') =>
      nextRun(begun, { ...NOTHING, packaged: { kind, message: 'no answer' } })
    t.match(at('away'), { phase: 'Running', message: /tried again: no answer/ })
    t.match(at('wrong'), { phase: 'Error', message: /no answer/ })
  },
)

// Only a rollout that waited for exactly this approval was withdrawn: users stayed on the version that a person had rejected.
t.test('a rejection withdraws the rollout whatever it waits for', async t => {
  const waiting = nextRun(atRollout(), rolloutAt('Paused', 'approval'))
  const approval = { by: 'ada', reason: 'not today', at: NOW, approved: false }
  const rejected = nextRun(withOutputs(waiting, { approval }), rolloutAt('Paused', 'manual-change'))
  t.match(rejected, { phase: 'Reverting' })
  for (const seen of [rolloutAt('Paused', 'manual-change'), rolloutAt('Progressing')])
    t.match(effectOf(rejected, seen), {
      kind: 'decide-rollout',
      verb: 'reject',
      by: 'ada',
      reason: 'not today',
    })
})

// A strategy's own approval was taken for the pipeline's: it could be approved before its evidence was complete.
t.test('an approval that the strategy asks for on the way is not the one of the run', async t => {
  const own = rolloutAt('Paused', 'approval')
  const onTheWay = { ...own, rollout: { ...own.rollout, awaitsPerson: false } }
  const run = nextRun(atRollout(), onTheWay)
  t.match(statuses(run), /rollout running, approval pending/)
  const approval = { by: 'ada', reason: null, at: NOW, approved: true }
  t.same(effectOf(withOutputs(run, { approval }), onTheWay), { kind: 'none' })
})

t.test('who was asked before the rollout approves none of its own approvals', async t => {
  const steps = { canary: { steps: [{ setWeight: 10 }, { approval: {} }] } }
  const first = { ...NOTHING, production: IDLE, staging: RUNS, canary: RUNS }
  const approval = { by: 'ada', reason: null, at: NOW, approved: true }
  const gates = { results: [], complete: true }
  const asked = nextRun(
    withOutputs(nextRun(atGates({ strategy: steps }), { ...first, gates }), { canaryRevision: 7 }),
    first,
  )
  t.match(statuses(asked), /approval running, rollout pending/)
  const begun = nextRun(withOutputs(asked, { approval }), first)
  const seen = rolloutAt('Paused', 'approval')
  t.same(effectOf(withOutputs(begun, { rollout: 'food11-v2' }), seen), { kind: 'none' })
})

// The run waited for ever: its rollout was refused because production ran the version already.
t.test('what a person brought to production meanwhile needs neither rollout nor approval', async t => {
  const waiting = withOutputs(atRollout(), { rollout: null })
  const refused = { ...waiting, waitsFor: 'version 2 is stable on food11 already' }
  const seen = { ...DEPLOYED, ...IN_PRODUCTION }
  const run = nextRun(refused, seen)
  t.match(run, { phase: 'Passed' })
  t.match(statuses(run), /rollout skipped, approval skipped, production passed/)
})

// The run waited for ever for a version that had been taken back already.
t.test(
  'production that was led elsewhere after the promotion ends the run, and nothing is held against it',
  async t => {
    const approval = { by: 'ada', reason: null, at: NOW, approved: true }
    const waiting = nextRun(atRollout(), rolloutAt('Paused', 'approval'))
    const approved = nextRun(withOutputs(waiting, { approval }), rolloutAt('Promoted'))
    const elsewhere = { answer: { version: '1', digest: 'sha256:one' }, alias: '1' }
    const seen = { ...rolloutAt('Promoted'), users: elsewhere }
    const busy = { ...seen.production, busy: true }
    t.match(
      nextRun(approved, { ...seen, production: busy }),
      { phase: 'Running' },
      'not while something is under way',
    )
    t.match(
      nextRun(approved, { ...seen, users: { ...elsewhere, answer: VERSION } }),
      { phase: 'Running' },
      'or on its way',
    )
    const ended = nextRun(approved, seen)
    t.match(ended, { phase: 'Error', message: /production answers as version 1 by now/ })
    t.same(effectOf(ended, seen), { kind: 'none' })
  },
)

// What was written down of production was believed, although something else answered or the alias led elsewhere.
t.test('production passes when exactly the version answers there now, and its alias leads to it', async t => {
  const approval = { by: 'ada', reason: null, at: NOW, approved: true }
  const waiting = nextRun(atRollout(), rolloutAt('Paused', 'approval'))
  const approved = nextRun(withOutputs(waiting, { approval }), rolloutAt('Promoted'))
  const at = (users: PipelineSeen['users']) => ({ ...rolloutAt('Promoted'), production: RUNS, users })
  t.match(statuses(nextRun(approved, at(null))), /production running/)
  const other = { version: '1', digest: 'sha256:one' }
  t.match(statuses(nextRun(approved, at({ answer: other, alias: '2' }))), /production running/)
  const elsewhere = at({ answer: VERSION, alias: '1' })
  const answers = nextRun(approved, elsewhere)
  t.match(statuses(answers), /production passed, alias-production running/)
  t.same(effectOf(answers, elsewhere), { kind: 'alias-production' })
  t.same(
    effectOf(answers, at({ answer: VERSION, alias: undefined })),
    { kind: 'none' },
    'nobody knows where it leads',
  )
  t.match(nextRun(answers, at({ answer: VERSION, alias: '2' })), { phase: 'Passed' })
})

t.test('a lasting refusal is told by the step that waits, until that is done', async t => {
  const waiting = withOutputs(atRollout(), { rollout: null })
  const refused = nextRun({ ...waiting, waitsFor: 'another rollout is under way' }, DEPLOYED)
  t.match(refused, { message: 'rollout: tried again: another rollout is under way' })
  t.same(nextRun(refused, DEPLOYED), refused, 'it is said once')
  const begun = nextRun(withOutputs(refused, { rollout: 'food11-v2' }), rolloutAt('Paused', 'approval'))
  t.equal(begun.waitsFor, null)
})

const NOT_NOW = { by: 'grace', reason: 'not now', at: NOW }

t.test('a run that waits for its turn is cancelled at once', async t => {
  const cancelled = cancel({ ...runOf(), phase: 'Queued' }, NOT_NOW)
  t.match(cancelled, { phase: 'Cancelled', message: 'cancelled by grace: not now', endedAt: NOW })
  t.same(new Set(cancelled.steps.map(({ status }) => status)), new Set(['skipped']))
})

t.test('one that is cancelled takes users off first, reverts then, and marks nothing', async t => {
  const cancelled = cancel(nextRun(atRollout(), rolloutAt('Progressing')), NOT_NOW)
  t.match(statuses(cancelled), /rollout cancelled, approval skipped/)
  t.match(effectOf(cancelled, rolloutAt('Progressing')), {
    kind: 'decide-rollout',
    verb: 'abort',
    by: 'grace',
  })
  t.same(effectOf(cancelled, rolloutAt('RollingBack')), { kind: 'none' })
  t.same(effectOf(cancelled, rolloutAt('RolledBack')), { kind: 'revert' })
  const current = { version: '1', digest: 'sha256:one', revision: 9 }
  const left = { ...IDLE, failure: 'cancelled', reverted: false, current }
  t.match(nextRun(cancelled, { ...rolloutAt('RollingBack'), staging: left, canary: left }), {
    phase: 'Reverting',
  })
  t.match(nextRun(cancelled, rolloutAt('RolledBack')), { phase: 'Reverting' }, 'not before it is reverted')
  t.match(
    nextRun(cancelled, { ...rolloutAt('RolledBack'), staging: left, canary: { ...left, current: null } }),
    {
      phase: 'Cancelled',
      message: 'cancelled by grace: not now; staging runs version 1; canary is stopped',
    },
  )
})

t.test('what all users have already is not taken back with the run', async t => {
  const cancelled = cancel(nextRun(atRollout(), rolloutAt('Progressing')), NOT_NOW)
  t.same(effectOf(cancelled, rolloutAt('Promoted')), { kind: 'none' })
  t.match(nextRun(cancelled, rolloutAt('Promoted')), {
    phase: 'Cancelled',
    message: /weir env rollback production/,
  })
})
