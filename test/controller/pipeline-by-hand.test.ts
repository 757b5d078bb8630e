import t from 'tap'
import { digestOf } from './environment-world.ts'
import {
  gates,
  promote,
  run,
  startControl,
  startWorld,
  stepOf,
  WAITS,
  writePipeline,
  type Control,
} from './pipeline-control.ts'

// What people do by hand beside a run of the pipeline.

type Test = Parameters<typeof startControl>[0]

async function startOne(t: Test, yaml = '') {
  const world = await startWorld(t, gates(0) + yaml)
  const control = startControl(t, world)
  return { world, control, id: await run(control, '2') }
}

async function rolloutOf(control: Control): Promise<string> {
  await control.until('the rollout', () => control.rollouts.list().length === 1)
  return control.rollouts.list()[0]?.name ?? ''
}

async function atApproval({ control, id }: { control: Control; id: string }): Promise<string> {
  const rollout = await rolloutOf(control)
  control.lead(rollout, WAITS)
  await control.until('the approval', () => stepOf(control, id, 'approval')?.status === 'running')
  return rollout
}

const ended = (control: Control, id: string) =>
  control.until('the end', () => control.pipelines.view(id).endedAt !== null)

const toProduction = { to: 'production', from: 'canary', version: '2' } as const

// The run waited for ever for what had been taken back.
t.test(
  'production is rolled back while the run follows it: the run ends, and holds nothing against anybody',
  async t => {
    const { world, control, id } = await startOne(t)
    const rollout = await atApproval({ control, id })
    control.pipelines.judge(id, { as: 'grace', actor: 'ada', approved: true })
    await control.look()
    promote(world, control, rollout)
    await control.reconciler.tick('production') // it follows
    t.match(control.environments.view('production').deploying, { how: 'follow', version: '2' })
    await control.settle('production')
    const back = await control.environments.prepareRollback('production', {
      actor: 'ada',
      reason: 'users complain',
    })
    back()
    await control.settle('production')
    await ended(control, id)
    t.match(control.pipelines.view(id), { phase: 'Error', message: /production answers as version 1 by now/ })
    t.match(await control.registry.get('food11', '2'), { failed: null })
  },
)

// The rollout was refused because production ran the version, and asked for again for ever.
t.test('the version is forced into production before its rollout has begun: the run passes', async t => {
  const { control, id } = await startOne(t)
  await control.until('canary', () => stepOf(control, id, 'alias-canary')?.status === 'running')
  const force = { ...toProduction, force: true, reason: 'the night shift knows why', actor: 'ada' }
  await control.settle('canary')
  const begin = await control.environments.preparePromote(force)
  begin()
  await control.settle('production')
  await ended(control, id)
  t.match(control.pipelines.view(id), { phase: 'Passed' })
  t.match(stepOf(control, id, 'rollout'), {
    status: 'skipped',
    message: /production runs this digest already/,
  })
})

// It was only in the log.
t.test('what a step is refused for is told by the run, for as long as it is', async t => {
  const { control, id } = await startOne(t)
  await control.until('staging', () => stepOf(control, id, 'alias-staging')?.status === 'running')
  const file = {
    apiVersion: 'weir.dev/v1alpha1',
    kind: 'Rollout',
    spec: { route: 'food11', modelVersion: '3', strategy: { canary: { steps: [{ pause: {} }] } } },
  }
  const begin = await control.service.prepareStart(file, { actor: 'ada' })
  const { name } = begin()
  await control.until('it is refused', () => /is under way on route/.test(control.pipelines.view(id).message))
  const { version } = control.pipelines.view(id)
  for (let looks = 0; looks < 5; looks++) await control.look()
  t.equal(control.pipelines.view(id).version, version, 'it is written down once')
  t.match(stepOf(control, id, 'deploy-canary'), {
    status: 'running',
    message: `tried again: rollout "${name}" is`,
  })
  control.lead(name, { phase: 'Aborted', endedAt: 1 })
  await control.until('canary', () => stepOf(control, id, 'deploy-canary')?.status === 'passed')
  t.notMatch(control.pipelines.view(id).message, /tried again/)
})

// Anybody passed the approval of the pipeline with a verb of its rollout.
t.test('the approvers hold for the verbs of the rollout, too', async t => {
  const { control, id } = await startOne(t, 'approvers: [grace]\n')
  const rollout = await atApproval({ control, id })
  for (const verb of ['approve', 'promote', 'skip-step'] as const) {
    t.throws(() => control.service.act(rollout, verb, { actor: 'mallory' }), { code: 'forbidden' }, verb)
    t.throws(
      () => control.service.act(rollout, verb, { actor: 'operator' }),
      { code: 'invalid_setting' },
      verb,
    )
  }
  t.match(control.rollouts.get(rollout)?.state, { phase: 'Paused' })
  t.match(
    control.service.act(rollout, 'pause', { actor: 'mallory' }).state,
    { phase: 'Paused' },
    'others are not held',
  )
  control.lead(rollout, WAITS)
  control.service.act(rollout, 'promote', { actor: 'grace' })
  await control.until('it goes on', () => stepOf(control, id, 'approval')?.status === 'passed')
})

t.test('steps before the approval are skipped by anybody; after it nobody is asked again', async t => {
  const { control, id } = await startOne(t, 'approvers: [grace]\n')
  const rollout = await rolloutOf(control)
  control.lead(rollout, { phase: 'Progressing', step: 1 })
  control.service.act(rollout, 'skip-step', { actor: 'ada' })
  control.lead(rollout, WAITS)
  await control.until('the approval', () => stepOf(control, id, 'approval')?.status === 'running')
  control.pipelines.judge(id, { as: 'grace', actor: 'ada', approved: true })
  await control.look()
  control.service.act(rollout, 'promote', { actor: 'ada' })
  t.match(control.rollouts.get(rollout)?.state, { phase: 'Promoting' })
})

// An approval that the strategy asks for on its way was taken for the last one, and the one of the run then given twice.
t.test('a strategy’s own approval is not the run’s, and is for its approvers as well', async t => {
  const strategy =
    'strategy: { canary: { steps: [{ setWeight: 10 }, { approval: {} }, { setWeight: 50 }] } }\n'
  const { control, id } = await startOne(t, `approvers: [grace]\n${strategy}`)
  const rollout = await rolloutOf(control)
  control.lead(rollout, { phase: 'Paused', cause: 'approval', step: 1, message: 'waiting for an approval' })
  for (let looks = 0; looks < 3; looks++) await control.look()
  t.match(stepOf(control, id, 'rollout'), { status: 'running', message: 'Paused: waiting for an approval' })
  t.throws(() => control.pipelines.judge(id, { as: 'grace', actor: 'ada', approved: true }), {
    code: 'conflict',
  })
  t.throws(() => control.service.act(rollout, 'approve', { actor: 'mallory' }), { code: 'forbidden' })
  t.match(control.service.act(rollout, 'approve', { actor: 'grace' }).state, {
    phase: 'Progressing',
    step: 2,
  })
  control.lead(rollout, { phase: 'Paused', cause: 'approval', step: 3 })
  await control.until('the approval', () => stepOf(control, id, 'approval')?.status === 'running')
  t.match(control.rollouts.get(rollout)?.state, { phase: 'Paused', step: 3 }, 'it waits still')
})

t.test('nobody else promotes it to production by hand before the approval, but by force', async t => {
  const { control, id } = await startOne(t, 'strategy: { recreate: {} }\napprovers: [grace]\n')
  await control.until('the approval', () => stepOf(control, id, 'approval')?.status === 'running')
  const { current } = control.environments.view('canary')
  control.environments.markGood('canary', current?.revision ?? 0, 'gates run by mallory')
  const asked = { ...toProduction, force: false }
  await t.rejects(control.environments.preparePromote({ ...asked, actor: 'mallory' }), {
    code: 'forbidden',
    message: /mallory is none of the approvers: grace/,
  })
  await control.environments.preparePromote({ ...asked, actor: 'grace' })
  const forced = { ...asked, force: true, reason: 'the night shift knows why', actor: 'mallory' }
  const begin = await control.environments.preparePromote(forced)
  begin()
  t.match(control.audit.list({ subject: 'environment/production' })[0], {
    actor: 'mallory',
    action: 'promote-forced',
    reason: /none of the approvers/,
  })
})

t.test('nor does a rollout beside the run, also one that makes the run’s own make room', async t => {
  const { control, id } = await startOne(t, 'approvers: [grace]\n')
  const rollout = await atApproval({ control, id })
  const file = (modelVersion: string) => ({
    apiVersion: 'weir.dev/v1alpha1',
    kind: 'Rollout',
    spec: {
      route: 'food11',
      modelVersion,
      supersede: true,
      strategy: { canary: { steps: [{ setWeight: 10 }] } },
    },
  })
  const mallory = { actor: 'mallory' }
  await t.rejects(control.service.prepareStart(file('2'), mallory), {
    code: 'forbidden',
    message: new RegExp(id),
  })
  t.match(control.rollouts.get(rollout)?.state, { phase: 'Paused' })
  await control.service.prepareStart(file('3'), mallory)
  await control.service.prepareStart(file('2'), { actor: 'grace' })
})

// What failed could be promoted by hand: nobody looked at the mark.
t.test('a version that failed is promoted by force alone, and starts no rollout', async t => {
  const { control, id } = await startOne(t)
  control.lead(await rolloutOf(control), { phase: 'RolledBack', message: 'e 123', endedAt: 1 })
  await ended(control, id)
  await control.settle('staging')
  const asked = { to: 'staging', from: 'development', version: '2', force: false, actor: 'ada' } as const
  await t.rejects(control.environments.preparePromote(asked), {
    code: 'version_failed',
    statusCode: 409,
    message: /the rollout ended RolledBack: e 123/,
  })
  await t.rejects(run(control, '2'), { code: 'version_failed', message: /e 123/ })
  const file = {
    apiVersion: 'weir.dev/v1alpha1',
    kind: 'Rollout',
    spec: { route: 'food11', modelVersion: '2' },
  }
  await t.rejects(control.service.prepareStart(file, { actor: 'ada' }), { code: 'version_failed' })
  const begin = await control.environments.preparePromote({ ...asked, force: true, reason: 'to look at it' })
  begin()
  t.match(await control.settle('staging'), { current: { version: '2' } })
  t.match(
    control.audit.list({ subject: 'environment/staging' }).find(({ action }) => action === 'promote-forced'),
    { actor: 'ada', reason: /although version 2 of food11 failed: .*e 123.*: to look at it/ },
  )
})

t.test('what failed goes through the pipeline again once a person takes that back', async t => {
  const { control, id } = await startOne(t)
  control.lead(await rolloutOf(control), { phase: 'RolledBack', message: 'e 123', endedAt: 1 })
  await ended(control, id)
  await control.settle('staging')
  await control.registry.clearFailed('food11', '2', {
    actor: 'grace',
    reason: 'stable was the one that was ill',
  })
  const again = await run(control, '2')
  await control.until('its rollout', () => control.pipelines.view(again).outputs.rollout !== null)
  t.match(
    await control.registry.get('food11', '2'),
    { failed: null },
    'and nobody marks it for what was before',
  )
})

t.test('of one content one run is under way at a time', async t => {
  const { control, id } = await startOne(t)
  await t.rejects(run(control, '2'), { code: 'conflict', message: /run "food11-v2"/, details: { run: id } })
  control.pipelines.cancel(id, { actor: 'grace', reason: 'again' })
  await ended(control, id)
  t.equal(await run(control, '2'), 'food11-v2-2')
})

// What stood in the books was believed: that it answers, and has the alias, was not looked at again.
t.test(
  'what runs in staging already is seen at its own route by this run, and gets the alias back',
  async t => {
    const { world, control, id } = await startOne(t)
    control.pipelines.cancel(id, { actor: 'grace', reason: 'not yet' })
    await ended(control, id)
    writePipeline(world, gates(3))
    const error = await run(control, '2')
    await ended(control, error)
    t.match(control.pipelines.view(error), { phase: 'Error' })
    await control.registry.setAlias('food11', 'staging', '1', { actor: 'mallory', reason: 'by hand' })
    const again = await run(control, '2')
    await control.until('the alias', () => stepOf(control, again, 'alias-staging')?.status === 'passed')
    t.match(await control.registry.aliases('food11'), { staging: '2' })
    const { current, history } = control.environments.view('staging')
    t.match(history[0], {
      revision: current?.revision,
      how: 'promote',
      verifiedAt: String,
      digest: digestOf('2'),
    })
    t.equal(control.pipelines.view(again).outputs.stagingRevision, current?.revision)
  },
)
