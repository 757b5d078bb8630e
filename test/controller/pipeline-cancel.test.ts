import t from 'tap'
import { gates, run, startControl, startWorld, stepOf, WAITS, type Control } from './pipeline-control.ts'

type Test = Parameters<typeof startControl>[0]

const NOT_NOW = { actor: 'ada', as: 'grace', reason: 'not this week' }

async function startOne(t: Test, yaml = gates(0)) {
  const world = await startWorld(t, yaml)
  const control = startControl(t, world)
  return { world, control, id: await run(control, '2') }
}

async function atRollout(control: Control) {
  await control.until('the rollout', () => control.rollouts.list().length === 1)
  return control.rollouts.list()[0]?.name ?? ''
}

const ended = (control: Control, id: string) =>
  control.until('the end', () => control.pipelines.view(id).endedAt !== null)

const told = ({ audit }: Control, id: string) =>
  audit
    .list({ subject: `pipeline/${id}` })
    .map(({ actor, action }) => `${actor}: ${action}`)
    .toReversed()

t.test('a run in its rollout: that is aborted, staging and canary go back, nothing is marked', async t => {
  const { world, control, id } = await startOne(t)
  const rollout = await atRollout(control)
  control.lead(rollout, { phase: 'Progressing', weightBp: 1000 })
  t.match(control.pipelines.cancel(id, NOT_NOW), { phase: 'Reverting', cancelledBy: 'grace' })
  await control.look()
  t.match(control.rollouts.get(rollout)?.state, { phase: 'RollingBack', cause: 'operator', weightBp: 0 })
  t.match(control.environments.view('canary'), { current: { version: '2' } }, 'not before users are off it')
  control.stop() // the controller dies, and the next one goes on
  const next = startControl(t, world)
  next.lead(rollout, { phase: 'Aborted', endedAt: 1 })
  await ended(next, id)
  t.match(next.pipelines.view(id), {
    phase: 'Cancelled',
    message: 'cancelled by grace: not this week; staging is stopped; canary is stopped',
  })
  t.match(stepOf(next, id, 'rollout'), { status: 'cancelled', message: /cancelled by grace/ })
  t.match(await next.registry.get('food11', '2'), { failed: null })
  t.same(await next.registry.aliases('food11'), { production: '1' })
  t.match(world.gateway.policy('food11').weights, { stable: 100, candidate: 0 })
  t.same(
    told(next, id).filter(line => !line.includes('passed') && !line.includes('running')),
    ['ada: started', 'grace: cancel', 'pipeline: cancelled'],
  )
  t.match(next.audit.list({ subject: rollout })[0], {
    actor: 'grace',
    action: 'abort',
    reason: 'not this week',
  })
  const again = await run(next, '2')
  await next.until('it is on its way again', () => stepOf(next, again, 'gates')?.status === 'passed')
})

t.test('one whose version is on its way into staging: the deployment is given up', async t => {
  const { world, control, id } = await startOne(t)
  world.runtime.troubles.set('2', 'slow')
  await control.until('the deployment', () => control.environments.view('staging').deploying !== null)
  await control.look()
  control.pipelines.cancel(id, NOT_NOW)
  await ended(control, id)
  t.match(control.pipelines.view(id), { phase: 'Cancelled' })
  t.match(control.environments.view('staging'), { current: null, deploying: null })
  t.match(await control.registry.get('food11', '2'), { failed: null })
})

t.test('one in its gates: what measures ends', async t => {
  const argv = JSON.stringify([process.execPath, '-e', 'setTimeout(() => {}, 3_600_000)'])
  const commands = `commands: [{ name: ours, argv: ${argv}, timeout: 1h }]`
  const yaml = `gates: { integration: false, resources: false, load: false, quality: false, ${commands} }\n`
  const { control, id } = await startOne(t, yaml)
  await control.until('the gates', () => stepOf(control, id, 'gates')?.status === 'running')
  await control.look()
  control.pipelines.cancel(id, NOT_NOW)
  await ended(control, id)
  t.match(control.pipelines.view(id), { phase: 'Cancelled', message: /staging is stopped/ })
})

t.test('one that waits for its turn ends at once, and touches nothing', async t => {
  const { control } = await startOne(t)
  const waiting = await run(control, '3')
  await atRollout(control)
  t.match(control.pipelines.cancel(waiting, NOT_NOW), { phase: 'Cancelled' })
  t.same(told(control, waiting), ['ada: started', 'grace: cancel', 'pipeline: cancelled'])
  t.match(control.environments.view('staging'), { current: { version: '2' } })
})

t.test('a cancellation needs a name, may be repeated, and is refused once it means nothing', async t => {
  const { control, id } = await startOne(t)
  t.throws(() => control.pipelines.cancel(id, { actor: 'operator', reason: 'x' }), {
    code: 'invalid_setting',
    message: /--as NAME/,
  })
  t.throws(() => control.pipelines.cancel('nothing', NOT_NOW), { code: 'pipeline_not_found' })
  const { version } = control.pipelines.view(id)
  t.throws(() => control.pipelines.cancel(id, { ...NOT_NOW, ifMatch: version + 1 }), {
    code: 'precondition_failed',
  })
  const first = control.pipelines.cancel(id, { ...NOT_NOW, ifMatch: version })
  t.same(control.pipelines.cancel(id, { ...NOT_NOW, as: 'ada', ifMatch: version }), first)
  t.equal(told(control, id).filter(line => line.endsWith(': cancel')).length, 1)

  const failing = await run(control, '3')
  const rollout = await atRollout(control)
  control.lead(rollout, { phase: 'RolledBack', message: 'e 123', endedAt: 1 })
  await ended(control, failing)
  t.throws(() => control.pipelines.cancel(failing, NOT_NOW), { code: 'conflict', message: /\(Failed\)/ })
})

t.test('a rejection takes users off although the rollout waits for something else', async t => {
  const { control, id } = await startOne(t)
  const rollout = await atRollout(control)
  control.lead(rollout, { ...WAITS, weightBp: 9500 })
  await control.until('the approval', () => stepOf(control, id, 'approval')?.status === 'running')
  control.lead(rollout, { phase: 'Paused', cause: 'manual-change', message: 'somebody set the weights' })
  control.pipelines.judge(id, { as: 'grace', actor: 'ada', reason: 'the photos look wrong', approved: false })
  await control.until('the withdrawal', () => control.rollouts.get(rollout)?.state.phase === 'RollingBack')
  t.match(control.rollouts.get(rollout)?.state, { weightBp: 0, message: 'rejected by grace' })
})
