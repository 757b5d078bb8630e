import t from 'tap'
import { gates, run, startControl, startWorld, stepOf } from './pipeline-control.ts'

// The first version of all: nothing is in production that it could be compared with.

type Test = Parameters<typeof startControl>[0]

async function withoutProduction(t: Test, yaml: string) {
  const world = await startWorld(t, yaml)
  const policy = world.gateway.policy('food11')
  const nothing = { stable: { endpoints: [] }, candidate: { endpoints: [] } }
  world.gateway.write({ ...policy, variants: nothing, weights: { stable: 0, candidate: 0 } })
  const control = startControl(t, world)
  return { world, control, id: await run(control, '2') }
}

t.test('a person lets it go to users before any user gets it', async t => {
  const { world, control, id } = await withoutProduction(t, gates(0))
  await control.until('the approval', () => stepOf(control, id, 'approval')?.status === 'running')
  for (let looks = 0; looks < 5; looks++) await control.look()
  t.match(stepOf(control, id, 'approval'), { message: /weir pipeline approve food11-v2/ })
  t.equal(stepOf(control, id, 'rollout')?.status, 'pending')
  t.equal(control.rollouts.list().length, 0)
  t.match(world.gateway.policy('food11').weights, { stable: 0, candidate: 0 })
  control.pipelines.judge(id, { as: 'grace', actor: 'ada', approved: true })
  await control.until('the rollout', () => control.rollouts.list().length === 1)
  const [rollout] = control.rollouts.list()
  t.notMatch(JSON.stringify(rollout?.file.spec.strategy), /approval/, 'who was asked is not asked again')
  t.match(control.pipelines.view(id), { phase: 'Running', outputs: { approvedBy: 'grace' } })
})

t.test('one that is rejected never has a user, and is stopped everywhere', async t => {
  const { control, id } = await withoutProduction(t, gates(0))
  await control.until('the approval', () => stepOf(control, id, 'approval')?.status === 'running')
  control.pipelines.judge(id, { as: 'grace', actor: 'ada', reason: 'not yet', approved: false })
  await control.until('the end', () => control.pipelines.view(id).endedAt !== null)
  t.match(control.pipelines.view(id), {
    phase: 'Failed',
    message: /rejected by grace: not yet; staging is stopped/,
  })
  t.equal(control.rollouts.list().length, 0)
})

t.test('without approvals the evidence alone decides', async t => {
  const { control, id } = await withoutProduction(t, `${gates(0)}approval: automatic\n`)
  await control.until('the rollout', () => control.rollouts.list().length === 1)
  t.equal(stepOf(control, id, 'approval')?.status, 'pending')
})
