import t, { type Test } from 'tap'
import { pass, rolloutOf, startControl, startWorld, type World } from './control.ts'
import { goal, pinned } from './experiments.ts'
import { startSeveral } from './several.ts'

// Weights that an operator sets at the gateway are in force at once: the processes that they take follow as soon as they are seen, and
// take requests when somebody resumes the rollout.

const ab = { weight: 20, arms: [{ version: '3', weight: 20 }], goal }

function processesOf(world: World) {
  const { variants } = world.gateway.policy()
  const dealt = Object.entries(variants).map(([variant, { endpoints }]) => [variant, endpoints.length])
  const running = world.runtime.list().map(({ id, endpoints }) => [id, endpoints.length])
  return { dealt: Object.fromEntries(dealt), running: Object.fromEntries(running) }
}

async function startExperiment(test: Test) {
  const world = await startWorld(test, pinned, { processes: 4 })
  const control = await startControl(test, world)
  const { name } = await control.client.startRollout(rolloutOf({ strategy: { ab } }))
  const seconds = (count: number) => pass(world, control, { name, seconds: count, requestsPerSecond: 200 })
  await seconds(4)
  test.match(processesOf(world), { dealt: { stable: 4, candidate: 1, 'arm-3': 1 } })
  return { world, control, name, seconds }
}

t.test('arms that an operator gives more users get the processes for them, and lose them again', async t => {
  const { world, control, name, seconds } = await startExperiment(t)
  world.gateway.write({ weights: { stable: 15, candidate: 30, 'arm-3': 55 } })
  await seconds(2)
  t.match(await control.client.rollout(name), { phase: 'Paused', cause: 'manual-change' })
  t.match(processesOf(world), {
    dealt: { candidate: 1, 'arm-3': 1 },
    running: { [`${name}.candidate`]: 2, [`${name}.arm-3`]: 3 },
  })
  t.same(world.gateway.policy().weights, { stable: 15, candidate: 30, 'arm-3': 55 })
  await control.client.act(name, 'resume')
  await seconds(2)
  t.match(processesOf(world), {
    dealt: { stable: 4, candidate: 2, 'arm-3': 3 },
    running: { [`${name}.candidate`]: 2, [`${name}.arm-3`]: 3 },
  })
  t.same(world.gateway.policy().weights, { stable: 15, candidate: 30, 'arm-3': 55 })

  world.gateway.write({ weights: { stable: 60, candidate: 20, 'arm-3': 20 } })
  await seconds(2)
  await control.client.act(name, 'resume')
  await seconds(3)
  t.match(processesOf(world), {
    dealt: { stable: 4, candidate: 1, 'arm-3': 1 },
    running: { [`${name}.candidate`]: 1, [`${name}.arm-3`]: 1 },
  })
})

t.test('an arm whose further processes do not come in time fails the experiment', async t => {
  const { world, control, name, seconds } = await startExperiment(t)
  const { status } = world.runtime
  world.runtime.status = async id =>
    id.endsWith('arm-3') ? { kind: 'starting', endpoints: [], reason: 'loading' } : status(id)
  world.gateway.write({ weights: { stable: 25, candidate: 20, 'arm-3': 55 } })
  await seconds(2)
  await control.client.act(name, 'resume')
  await seconds(2)
  t.match(await control.client.rollout(name), {
    phase: 'Progressing',
    message: 'waiting for more processes: version 3: loading',
  })
  await seconds(122)
  t.match(await control.client.rollout(name), { phase: 'Failed', cause: 'not-ready' })
  t.same(world.runtime.list(), [])
})

t.test('a controller that takes over while an arm waits for processes goes on', async t => {
  const { world, control, name, seconds } = await startExperiment(t)
  world.gateway.write({ weights: { stable: 25, candidate: 20, 'arm-3': 55 } })
  await seconds(2)
  await control.client.act(name, 'resume')
  await control.stop()
  const next = await startControl(t, world)
  await pass(world, next, { name, seconds: 2, requestsPerSecond: 200 })
  t.match(processesOf(world), { dealt: { 'arm-3': 3 }, running: { [`${name}.arm-3`]: 3 } })
})

t.test("a canary's higher weight by hand has its processes before somebody resumes it", async t => {
  const { world, seconds, shape, status, act } = await startSeveral(t, {
    processes: 4,
    strategy: { canary: { steps: [{ setWeight: 10 }, { pause: {} }] } },
  })
  await seconds(4)
  world.gateway.write({ weights: { stable: 40, candidate: 60 } })
  await seconds(2)
  t.match(await status(), { cause: 'manual-change', weight: 60 })
  t.match(shape(), { processes: { candidate: 1 }, running: { 'food11-v2.candidate': 3 } })
  world.gateway.write({ weights: { stable: 90, candidate: 10 } })
  await seconds(2)
  world.gateway.write({ weights: { stable: 40, candidate: 60 } })
  await seconds(2)
  await act('resume')
  await seconds(2)
  t.match(shape(), { weights: { candidate: 60 }, processes: { candidate: 3 } })
})
