import t from 'tap'
import { releaseCapacity } from '../../controller/rollouts/capacity.ts'
import type { RolloutState } from '../../controller/rollouts/rollout-state.ts'
import { wantedPolicy } from '../../controller/rollouts/wanted-policy.ts'
import { digestOf } from './environment-world.ts'
import { gates, run, startControl, startWorld, stepOf } from './pipeline-control.ts'

// Where the old version stops before the new one starts, the rollout starts processes of its own: what canary runs are others.

type Test = Parameters<typeof startControl>[0]

const RECREATE = 'strategy: { recreate: {} }\napproval: automatic\n'

/** A run whose rollout has replaced the old version, with all users at the new one. */
async function replaced(t: Test) {
  const world = await startWorld(t, gates(0) + RECREATE)
  const control = startControl(t, world)
  const id = await run(control, '2')
  await control.until('the rollout', () => control.rollouts.list().length === 1)
  const [rollout] = control.rollouts.list()
  if (rollout?.state.recreation === undefined || rollout.state.recreation === null)
    throw new Error('the rollout recreates nothing')
  const { name, state: first } = rollout
  const { recreation } = rollout.state
  /** What the rollout's own reconciler would do about a state that it has reached. */
  const reach = (change: Partial<RolloutState>) => {
    control.lead(name, change)
    const { state } = control.rollouts.get(name) ?? { state: first }
    const { variants, weights } = wantedPolicy(state)
    world.gateway.write({ ...world.gateway.policy('food11'), variants, weights })
    if (state.endedAt !== null) releaseCapacity(control.runtime, state)
  }
  const looks = async (count: number) => {
    for (let looked = 0; looked < count; looked++) await control.look()
  }
  reach({ phase: 'Progressing', recreation: { ...recreation, stage: 'closed', closedAt: 1 } })
  await looks(2)
  world.runtime.stop(recreation.stableId)
  const endpoints = await world.runtime.place(first.deployment.id, '2')
  const candidate = { version: '2', digest: digestOf('2'), endpoints }
  const opened = { ...recreation, stage: 'new' as const, closedAt: 1, openedAt: 2 }
  reach({ phase: 'Progressing', weightBp: 10_000, candidate, recreation: opened })
  await looks(5)
  const bringBack = async () => {
    world.runtime.stop(first.deployment.id)
    const [endpoint] = await world.runtime.place(recreation.stableId, '1')
    const stable = { ...first.stable, endpoints: [endpoint] }
    const old = { ...recreation, stage: 'old' as const }
    const message = 'e 123, threshold 100'
    reach({
      phase: 'RolledBack',
      cause: 'failure',
      message,
      weightBp: 0,
      stable,
      recreation: old,
      endedAt: 1,
    })
  }
  const promote = () => reach({ phase: 'Promoted', weightBp: 10_000, recreation: opened, endedAt: 1 })
  return { world, control, id, first, bringBack, promote }
}

t.test(
  'the canary environment stays with what the pipeline brought there while versions are exchanged',
  async t => {
    const { world, control } = await replaced(t)
    const view = control.environments.view('canary')
    t.match(view, { current: { version: '2', revision: 1 }, deploying: null, health: 'healthy' })
    t.same(
      view.history.map(({ how }) => how),
      ['promote'],
      'it follows no processes that are the rollout’s to stop',
    )
    t.ok(world.runtime.runs('food11-canary-r1'))
  },
)

t.test('a version that is promoted takes production over, and canary is what production runs', async t => {
  const { world, control, id, first, promote } = await replaced(t)
  promote()
  await control.until('the end', () => control.pipelines.view(id).endedAt !== null)
  t.match(control.pipelines.view(id), { phase: 'Passed' })
  await control.until('canary', () => {
    const { deploying, current } = control.environments.view('canary')
    return deploying === null && current?.revision === 2
  })
  t.same(await control.registry.aliases('food11'), { staging: '2', canary: '2', production: '2' })
  for (const name of ['canary', 'production'] as const) {
    t.match(
      control.environments.view(name),
      { current: { version: '2', good: true }, health: 'healthy' },
      name,
    )
    t.equal(control.environments.running(name)?.deployment, first.deployment.id, name)
  }
  t.notOk(world.runtime.runs('food11-canary-r1'), 'two of them do not fit beside each other')
})

// Its canary environment had followed the rollout's own processes: the revert took that for a newer deployment.
t.test('a version that is withdrawn loses the canary environment, and its alias', async t => {
  const { world, control, id, bringBack } = await replaced(t)
  await bringBack()
  await control.until('the end', () => control.pipelines.view(id).endedAt !== null)
  t.match(control.pipelines.view(id), {
    phase: 'Failed',
    message: /e 123, threshold 100; staging is stopped; canary is stopped/,
  })
  t.match(stepOf(control, id, 'rollout'), { status: 'failed' })
  t.match(control.environments.view('canary'), { current: null, health: 'stopped' })
  t.match(control.environments.view('production'), {
    current: { version: '1', good: true },
    health: 'healthy',
  })
  t.same(await control.registry.aliases('food11'), { production: '1' })
  t.match(await control.registry.get('food11', '2'), { failed: /e 123/ })
  t.match(world.gateway.policy('food11'), { weights: { stable: 100, candidate: 0 } })
})
