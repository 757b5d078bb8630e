import t from 'tap'
import { rolloutFile, type RolloutSpec } from '../../contract/rollout.ts'
import type { Decision } from '../../contract/history.ts'
import { nextState, type Observation } from '../../controller/rollouts/rollout-machine.ts'
import { LATER_FIELDS, type RolloutState } from '../../controller/rollouts/rollout-state.ts'
import { applyVerb } from '../../controller/rollouts/verbs.ts'
import { wantedPolicy } from '../../controller/rollouts/wanted-policy.ts'

const spec = specOf([{ setWeight: 10 }, { ramp: { riskBudget: '1pp', to: 95 } }])
const endpoint = 'http://127.0.0.1:9102'
const endpoints = [endpoint]

t.test('a candidate gets weight only after its exact version was seen ready', async t => {
  const starting = look(state(), { candidate: { kind: 'starting', endpoints, reason: 'loading' } })
  t.equal(starting.phase, 'Pending')
  t.match(starting.message, /loading/)
  const wrong = look(state(), { candidate: { kind: 'ready', endpoints, digest: 'sha256:other' } })
  t.match(wrong, { phase: 'RollingBack', cause: 'not-ready' })
  const ready = look(state(), { candidate: { kind: 'ready', endpoints, digest: 'sha256:new' } })
  t.match(ready, { phase: 'Progressing', weightBp: 0, candidate: { endpoints: [endpoint] } })
})

t.test('a candidate that is never ready ends the rollout as Failed with the reason', async t => {
  const late = look(state(), {
    now: 121_000,
    candidate: { kind: 'starting', endpoints, reason: 'digest differs' },
  })
  t.match(late, { phase: 'RollingBack', cause: 'not-ready', message: /digest differs/ })
  t.equal(look(late).phase, 'Failed')
})

t.test('a model that its server refuses ends the rollout at once, with the reason of the server', async t => {
  const refused = look(state(), {
    candidate: { kind: 'refused', endpoints, reason: 'model_refused: the digest of model.onnx differs' },
  })
  t.match(refused, { phase: 'RollingBack', cause: 'not-ready', message: /the digest of model.onnx differs/ })
  t.equal(look(refused).phase, 'Failed')
})

t.test('steps go on while the evidence allows, until version and endpoints are exchanged', async t => {
  let now = progressing()
  const weights: number[] = []
  while (now.phase === 'Progressing' && weights.length < 20) {
    now = look(now, { decision: decision('advance'), allows: () => true })
    weights.push(now.weightBp / 100)
  }
  t.same(weights, [10, 25, 50, 95, 100])
  t.equal(now.phase, 'Promoting')
  t.same(wantedPolicy(now), {
    weights: { stable: 100, candidate: 0 },
    variants: { stable: { endpoints: [endpoint] }, candidate: { endpoints: ['http://127.0.0.1:9101'] } },
  })
  t.equal(look(now, { policyAsWanted: false }).phase, 'Promoting', 'until every worker applies it')
  t.match(look(now), { phase: 'Promoted', endedAt: 1000 })
})

t.test('missing evidence holds: it neither advances nor withdraws', async t => {
  const before = { ...progressing(), step: 1, weightBp: 1000 }
  const after = look(before, { decision: null, allows: () => true })
  t.match(after, { phase: 'Progressing', weightBp: 1000, step: 1 })
})

t.test(
  'a ramp from weight 0 takes its first weight without evidence, which only that weight can bring',
  async t => {
    const only = specOf([{ ramp: { to: 95 } }])
    t.equal(nextState(progressing(), seen(), only).weightBp, 100)
  },
)

t.test('a withdrawal takes all traffic away and restores what the candidate variant pointed to', async t => {
  const before = {
    ...progressing(),
    step: 1,
    weightBp: 2500,
    previousCandidateEndpoints: ['http://127.0.0.1:9109'],
  }
  const after = look(before, { decision: { ...decision('withdraw'), cause: 'failure' } })
  t.match(after, { phase: 'RollingBack', cause: 'failure', weightBp: 0, withdrawnAt: 1000 })
  t.same(wantedPolicy(after), {
    weights: { stable: 100, candidate: 0 },
    variants: {
      stable: { endpoints: ['http://127.0.0.1:9101'] },
      candidate: { endpoints: ['http://127.0.0.1:9109'] },
    },
  })
  t.equal(look(after, { policyAsWanted: false }).phase, 'RollingBack')
  t.equal(look(after).phase, 'RolledBack')
})

t.test('a withdrawal outranks a pause, whoever paused', async t => {
  for (const cause of ['operator', 'manual-change', 'approval'] as const) {
    const paused: RolloutState = { ...progressing(), phase: 'Paused', cause }
    t.equal(
      look(paused, { decision: { ...decision('withdraw'), cause: 'latency' } }).phase,
      'RollingBack',
      cause,
    )
  }
})

t.test('a policy version that the controller did not write pauses the rollout', async t => {
  const before = { ...progressing(), step: 1, weightBp: 1000, policyVersion: 4 }
  const changed = look(before, { policyVersion: 5, policyAsWanted: false, policyWeightBp: 3000 })
  t.match(changed, { phase: 'Paused', cause: 'manual-change', policyVersion: 5, weightBp: 3000 })
  t.match(look(changed, { policyVersion: 5, policyAsWanted: false }), { phase: 'Paused' }, 'and stays so')
  const own = look(before, { policyVersion: 5, policyAsWanted: true })
  t.match(own, { phase: 'Progressing', policyVersion: 5 }, 'its own write, of which a crash lost the note')
})

// Before, a pause by an operator or by the deadline replaced the cause, and the next look overwrote the manual weights.
t.test('a pause for a manual change stays one: its weights stand until a resume', async t => {
  const before = { ...progressing(), step: 1, weightBp: 1000, policyVersion: 4 }
  const changed = look(before, { policyVersion: 5, policyAsWanted: false, policyWeightBp: 3000 })
  const verb = { spec, now: 5, actor: 'ada' }
  t.match(applyVerb('pause', changed, verb), { phase: 'Paused', cause: 'manual-change', weightBp: 3000 })
  const late = look(changed, { now: 7_200_001, policyVersion: 5, policyAsWanted: false })
  t.match(late, { phase: 'Paused', cause: 'manual-change', weightBp: 3000 })
  t.match(applyVerb('resume', changed, verb), { phase: 'Progressing', cause: null, weightBp: 3000 })
})

t.test('a rollback goes on whoever writes the policy meanwhile', async t => {
  const before: RolloutState = { ...progressing(), phase: 'RollingBack', cause: 'operator', policyVersion: 4 }
  t.match(look(before, { policyVersion: 9, policyAsWanted: false }), {
    phase: 'RollingBack',
    policyVersion: 9,
  })
})

t.test('an ejected candidate holds, and is withdrawn as unavailable when its trials fail too', async t => {
  const before = { ...progressing(), step: 1, weightBp: 1000 }
  const advance = { decision: decision('advance'), allows: () => true }
  const held = look(before, { ...advance, ejection: { action: 'hold', reason: 'it is ejected' } })
  t.match(held, { phase: 'Progressing', weightBp: 1000, message: 'it is ejected' })
  const gone = look(before, {
    ejection: { action: 'withdraw', cause: 'unavailable', reason: 'three trials failed' },
  })
  t.match(gone, { phase: 'RollingBack', cause: 'unavailable', weightBp: 0 })
})

t.test('a pause step waits for its time and for the evidence of the next weight', async t => {
  const steps = specOf([{ setWeight: 10 }, { pause: { duration: '5m' } }, { ramp: { to: 95 } }])
  const before = { ...progressing(), step: 1, stepSince: 0, weightBp: 1000 }
  const asked: number[] = []
  const at = (now: number, allowed: boolean) =>
    nextState(
      before,
      seen({ now, decision: decision('hold'), allows: weight => (asked.push(weight), allowed) }),
      steps,
    )
  t.match(at(299_000, true), { phase: 'Paused', cause: 'pause-step', step: 1 })
  t.match(at(301_000, false), { phase: 'Paused', step: 1, message: /evidence for 25 %/ })
  t.match(at(301_000, true), { phase: 'Progressing', step: 2 })
  t.ok(asked.includes(25))
})

t.test('a pause before the first weight waits for its time alone: evidence would need traffic', async t => {
  const steps = specOf([{ mirror: { percent: 50 } }, { pause: { duration: '5m' } }, { setWeight: 10 }])
  const before: RolloutState = { ...progressing(), step: 1, stepSince: 0, mirrorPercent: 50 }
  t.match(nextState(before, seen({ now: 299_000 }), steps), { phase: 'Paused', step: 1 })
  t.match(nextState(before, seen({ now: 301_000 }), steps), { phase: 'Progressing', weightBp: 1000 })
})

t.test('a pause by the clock alone needs the least number of candidate requests', async t => {
  const steps = specOf([{ setWeight: 10 }, { pause: { duration: '1m' } }], {
    advance: 'time',
    minRequests: 50,
  })
  const before = { ...progressing(), step: 1, stepSince: 0, weightBp: 1000, requestsBeforeStep: 10 }
  const after = (candidate: number) =>
    nextState(
      before,
      seen({ now: 61_000, decision: { ...decision('hold'), exposure: { stable: 0, candidate } } }),
      steps,
    )
  t.equal(after(59).phase, 'Paused')
  t.equal(after(60).phase, 'Promoting')
})

t.test('a reason to hold keeps a pause step waiting, also where it goes by the clock', async t => {
  const steps = specOf([{ setWeight: 10 }, { pause: { duration: '1m' } }], { advance: 'time' })
  const before = { ...progressing(), step: 1, stepSince: 0, weightBp: 1000 }
  const enough = { ...decision('hold'), exposure: { stable: 0, candidate: 500 } }
  const at = (holds: string[]) => nextState(before, seen({ now: 61_000, decision: enough, holds }), steps)
  t.match(at(['requests went missing']), { phase: 'Paused', message: /requests went missing/ })
  t.match(at([]), { phase: 'Promoting' })
})

t.test('an approval step waits for a person', async t => {
  const steps = specOf([{ approval: {} }, { setWeight: 10 }])
  const waiting = nextState(progressing(), seen(), steps)
  t.match(waiting, { phase: 'Paused', cause: 'approval' })
  t.match(nextState(waiting, seen(), steps), { phase: 'Paused', cause: 'approval' })
  const verb = { spec: steps, now: 5, actor: 'ada' }
  t.throws(() => applyVerb('resume', waiting, verb), { code: 'conflict' }, 'resuming is no approval')
  t.match(applyVerb('approve', waiting, verb), { phase: 'Progressing', step: 1 })
  t.match(applyVerb('reject', waiting, verb), { phase: 'RollingBack', cause: 'operator' })
})

t.test('a mirror step sets the mirror, and the end of the rollout turns it off', async t => {
  const steps = specOf([{ mirror: { percent: 50 } }, { setWeight: 10 }])
  const mirrored = nextState(progressing(), seen(), steps)
  t.same(wantedPolicy(mirrored).mirror, { to: 'candidate', percent: 50 })
  const withdrawn = nextState(
    mirrored,
    seen({ decision: { ...decision('withdraw'), cause: 'failure' } }),
    steps,
  )
  t.same(wantedPolicy(withdrawn).mirror, { to: 'candidate', percent: 0 })
  t.equal(wantedPolicy(progressing()).mirror, undefined, "the operator's own mirror is left alone")
})

t.test('a deadline withdraws on evidence, and only pauses where none came', async t => {
  const before = { ...progressing(), step: 1, weightBp: 1000 }
  const late = { now: 7_200_001 }
  const judged = look(before, {
    ...late,
    decision: { ...decision('hold'), exposure: { stable: 900, candidate: 100 } },
  })
  t.match(judged, { phase: 'RollingBack', cause: 'deadline' })
  const paused = look(before, late)
  t.match(paused, { phase: 'Paused', cause: 'deadline', message: /within 2 h/ })
  const resumed = applyVerb('resume', paused, { spec, now: late.now, actor: 'ada' })
  t.match(
    look(resumed, { now: late.now + 1000 }),
    { phase: 'Progressing' },
    'a resume gives the same time again',
  )
})

t.test('an abort outranks everything, also during promotion', async t => {
  const verb = { spec, now: 5, actor: 'ada' }
  for (const phase of ['Pending', 'Progressing', 'Paused', 'Promoting'] as const) {
    t.match(
      applyVerb('abort', { ...progressing(), phase }, verb),
      { phase: 'RollingBack', cause: 'operator' },
      phase,
    )
  }
  const aborted = applyVerb('abort', { ...progressing(), phase: 'Promoting' }, verb)
  t.equal(look(aborted).phase, 'Aborted')
})

t.test('a second promote changes nothing, and an ended rollout takes no verb', async t => {
  const verb = { spec, now: 5, actor: 'ada' }
  const promoting = applyVerb('promote', progressing(), verb)
  t.equal(applyVerb('promote', promoting, verb), promoting)
  t.throws(() => applyVerb('abort', { ...promoting, phase: 'Promoted' }, verb), { code: 'conflict' })
})

function specOf(steps: unknown[], analysis: Record<string, unknown> = {}): RolloutSpec {
  return rolloutFile.parse({
    apiVersion: 'weir.dev/v1alpha1',
    kind: 'Rollout',
    metadata: { name: 'food11-v2' },
    spec: { route: 'food11', modelVersion: '2', strategy: { canary: { steps } }, analysis },
  }).spec
}

function look(from: RolloutState, over: Partial<Observation> = {}): RolloutState {
  return nextState(from, seen(over), spec)
}

function seen(over: Partial<Observation> = {}): Observation {
  return {
    now: 1000,
    policyVersion: 4,
    policyAsWanted: true,
    policyWeightBp: 0,
    candidate: { kind: 'absent' },
    ejection: { action: 'none' },
    decision: null,
    holds: [],
    metrics: [],
    allows: () => false,
    ...over,
  }
}

function decision(action: Decision['action']): Decision {
  return {
    t: 1,
    action,
    e: 1,
    threshold: 100,
    cause: null,
    u: 0.5,
    exposure: { stable: 0, candidate: 0 },
    reason: 'because',
  }
}

function progressing(): RolloutState {
  return {
    ...state(),
    phase: 'Progressing',
    stepSince: 0,
    candidate: { version: '2', digest: 'sha256:new', endpoints: [endpoint] },
  }
}

function state(): RolloutState {
  return {
    phase: 'Pending',
    model: 'food11',
    cause: null,
    message: '',
    step: 0,
    stepSince: null,
    weightBp: 0,
    mirrorPercent: null,
    settleSeconds: 15,
    requestsBeforeStep: 0,
    stable: { version: '1', digest: 'sha256:old', endpoints: ['http://127.0.0.1:9101'] },
    candidate: { version: '2', digest: 'sha256:new', endpoints: [] },
    deployment: { id: 'food11-v2', own: true },
    previousCandidateEndpoints: [endpoint],
    policyVersion: 4,
    startedAt: 0,
    deadlineFrom: 0,
    endedAt: null,
    withdrawnAt: null,
    lastDecision: null,
    ...LATER_FIELDS,
  }
}
