import t from 'tap'
import {
  gates,
  promote,
  run,
  startControl,
  startWorld,
  stepOf,
  WAITS,
  writePipeline,
} from './pipeline-control.ts'

t.test('a version goes to production step by step, also if the controller dies after every look', async t => {
  const world = await startWorld(t, gates(0))
  let control = startControl(t, world)
  const id = await run(control, '2')
  for (
    let looks = 0;
    stepOf(control, id, 'rollout')?.status !== 'running' || control.rollouts.list().length === 0;
    looks++
  ) {
    if (looks > 60) throw new Error(control.pipelines.view(id).message)
    await control.look()
    if (stepOf(control, id, 'gates')?.status === 'running') continue // what it measures is begun anew each time
    control.stop()
    control = startControl(t, world)
  }
  const [rollout] = control.rollouts.list()
  t.equal(control.rollouts.list().length, 1)
  t.match(rollout, {
    file: { spec: { modelVersion: '2' } },
    state: { deployment: { id: 'food11-canary-r1', own: false } },
  })
  t.same(rollout?.file.spec.strategy.canary?.steps.at(-1), { approval: {} }, 'a person is asked last')
  const name = rollout?.name ?? ''
  control.lead(name, { ...WAITS, message: 'waiting for an approval' })
  await control.until('the approval', () => stepOf(control, id, 'approval')?.status === 'running')
  control.pipelines.judge(id, { as: 'grace', actor: 'ada', reason: 'looks right', approved: true })
  await control.look()
  t.match(control.rollouts.get(name)?.state, { phase: 'Progressing', message: 'resumed by grace' })
  promote(world, control, name)
  await control.until('the end', () => control.pipelines.view(id).phase !== 'Running')
  const view = control.pipelines.view(id)
  t.match(view, { phase: 'Passed', outputs: { approvedBy: 'grace', rollout: name } })
  t.same(new Set(view.steps.map(({ status }) => status)), new Set(['passed']))
  t.ok(view.steps.every(({ startedAt, endedAt }) => startedAt !== null && endedAt !== null))
  t.same(await control.registry.aliases('food11'), { staging: '2', canary: '2', production: '2' })
  t.equal(
    world.runtime.list().filter(({ version }) => version === '2').length,
    2,
    'one in staging, one in canary',
  )
  t.match(stepOf(control, id, 'rollout'), { message: 'it went as far as it goes without a person' })
  const told = control.audit.list({ subject: `pipeline/${id}` }).map(({ action }) => action)
  for (const { name: step } of view.steps)
    t.equal(told.filter(action => action === `${step} passed`).length, 1, step)
  t.match(control.environments.list(), [
    { current: { good: true } },
    { current: { good: true } },
    { current: { good: true } },
  ])
})

t.test('a failing gate returns staging to what was good, and the version is marked', async t => {
  const world = await startWorld(t, gates(0) + 'approval: automatic\n')
  const control = startControl(t, world)
  const good = await run(control, '2')
  await control.until('the rollout', () => control.rollouts.list().length === 1)
  const [rollout] = control.rollouts.list()
  promote(world, control, rollout?.name ?? '')
  await control.until('the end', () => control.pipelines.view(good).phase === 'Passed')
  t.match(stepOf(control, good, 'approval'), { status: 'skipped', message: 'the evidence decides' })

  writePipeline(world, gates(1))
  const bad = await run(control, '3')
  await control.until('the end of the bad one', () => control.pipelines.view(bad).endedAt !== null)
  t.match(control.pipelines.view(bad), { phase: 'Failed', message: /gates: ours: .*staging runs version 2/ })
  t.match(control.environments.view('staging'), { current: { version: '2', good: true }, health: 'healthy' })
  t.match(await control.registry.get('food11', '3'), { failed: /gates: ours/ })
  t.match(await control.registry.aliases('food11'), { staging: '2', canary: '2', production: '2' })
  t.match(stepOf(control, bad, 'gates'), { status: 'failed', evidence: [{ gate: 'ours', verdict: 'fail' }] })
  t.match(stepOf(control, bad, 'rollout'), { status: 'skipped', message: 'gates did not pass' })
  t.equal(control.rollouts.list().length, 1, 'users never saw it')
  await t.rejects(run(control, '3'), { code: 'version_failed', message: /gates: ours/ })
})

t.test('an error in a gate is no pass: the run ends, nothing is held against the version', async t => {
  const world = await startWorld(t, gates(3))
  const control = startControl(t, world)
  const id = await run(control, '2')
  await control.until('the end', () => control.pipelines.view(id).endedAt !== null)
  t.match(control.pipelines.view(id), { phase: 'Error' })
  t.match(await control.registry.get('food11', '2'), { failed: null })
  t.match(control.environments.view('staging'), { current: { version: '2', good: false } })
  writePipeline(world, gates(0))
  const again = await run(control, '2')
  t.equal(again, 'food11-v2-2')
  await control.until('the rollout', () => control.rollouts.list().length === 1)
  t.match(
    control.environments.view('staging').history,
    [{ how: 'promote', verifiedAt: String }, {}],
    'what runs there already is seen, and measured, again',
  )
  t.equal(world.runtime.list().filter(({ id }) => id.startsWith('food11-staging')).length, 1, 'as it runs')
})

t.test('a withdrawn rollout reverts canary and staging', async t => {
  const world = await startWorld(t, gates(0))
  const control = startControl(t, world)
  const id = await run(control, '2')
  await control.until('the rollout', () => control.rollouts.list().length === 1)
  const [rollout] = control.rollouts.list()
  control.lead(rollout?.name ?? '', {
    phase: 'RolledBack',
    cause: 'failure',
    message: 'e 123, threshold 100',
    endedAt: 1,
  })
  await control.until('the end', () => control.pipelines.view(id).endedAt !== null)
  t.match(control.pipelines.view(id), {
    phase: 'Failed',
    message: /e 123, threshold 100; staging is stopped; canary is stopped/,
  })
  t.same(await control.registry.aliases('food11'), { production: '1' })
  t.match(world.gateway.policy('food11'), { weights: { stable: 100, candidate: 0 } })
})

t.test('an approval needs a name that counts, and a run that waits for it', async t => {
  const world = await startWorld(t, `${gates(0)}approvers: [grace]\n`)
  const control = startControl(t, world)
  const id = await run(control, '2')
  const judge = (as: string | undefined) =>
    control.pipelines.judge(id, { as, actor: 'operator', approved: true })
  t.throws(() => judge('grace'), { code: 'conflict', message: /does not wait/ })
  await control.until('the rollout', () => control.rollouts.list().length === 1)
  control.lead(control.rollouts.list()[0]?.name ?? '', WAITS)
  await control.until('the approval', () => stepOf(control, id, 'approval')?.status === 'running')
  t.throws(() => judge(undefined), { code: 'invalid_setting', message: /needs a name/ })
  t.throws(() => judge('mallory'), { code: 'forbidden', message: /none of the approvers/ })
  t.throws(() => control.pipelines.view('nothing'), { code: 'pipeline_not_found' })
  judge('grace')
  t.throws(() => judge('grace'), { code: 'conflict' })
})

t.test('runs of a model take turns', async t => {
  const world = await startWorld(t, gates(0))
  const control = startControl(t, world)
  const first = await run(control, '2')
  const second = await run(control, '3')
  await control.until('the first one’s rollout', () => control.rollouts.list().length === 1)
  const waits = { phase: 'Queued', message: `waiting for its turn: ${first} is under way` }
  t.match(control.pipelines.view(second), waits)
  t.match(control.pipelines.list()[0], waits)
  control.lead(control.rollouts.list()[0]?.name ?? '', { phase: 'RolledBack', message: 'e 123', endedAt: 1 })
  await control.until('its end', () => control.pipelines.view(first).endedAt !== null)
  await control.look()
  t.match(control.pipelines.view(second), { phase: 'Running' })
})

t.test(
  'a pipeline.yaml that says nonsense is refused by name, or ends the run of a registration',
  async t => {
    const world = await startWorld(t, 'aproval: person\n')
    const control = startControl(t, world)
    await t.rejects(run(control, '2'), { code: 'invalid_setting', message: /pipeline\.yaml.*aproval/ })
    await control.registry.register('food11', 'models/food11/2', { actor: 'ada' })
    await control.registrations.take()
    t.match(control.pipelines.list(), [{ phase: 'Error', message: /aproval/ }])
    const [broken] = control.pipelines.list()
    t.match(control.audit.list({ subject: `pipeline/${broken?.id}` }), [
      { actor: 'pipeline', action: 'error', reason: /aproval/ },
      { actor: 'ada', action: 'started' },
    ])
    writePipeline(world, 'onRegistration: false\n')
    await control.registry.register('food11', 'models/food11/1', { actor: 'ada' })
    await control.registrations.take()
    t.equal(control.pipelines.list().length, 1)
  },
)
