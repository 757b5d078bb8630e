import t from 'tap'
import { changesOf, startSeveral, type Shape } from './several.ts'
import { rolloutOf, startControl, startWorld } from './control.ts'

// Stable's processes are replaced one by one: never fewer than at the beginning carry the traffic, at most one more runs.

const failing = { failing: { candidate: 0.3 } }
const ramp = [{ ramp: { riskBudget: '5pp', to: 95 } }]
const rolling = (steps: readonly object[] = ramp) => ({ canary: { rolling: true, steps } })

/** Stable's and the candidate's, weights and processes. */
const sides = (shapes: readonly Shape[]) =>
  changesOf(
    shapes.map(({ weights, processes }) => [
      [weights['stable'], processes['stable']],
      [weights['candidate'], processes['candidate']],
    ]),
  )

const carrying = ({ weights, processes }: Shape) =>
  Object.keys(weights).reduce(
    (sum, variant) => sum + ((weights[variant] ?? 0) > 0 ? (processes[variant] ?? 0) : 0),
    0,
  )

t.test('processes are replaced one by one, and the weight follows the share that is replaced', async t => {
  const { world, seconds, shapes, status, shape } = await startSeveral(t, {
    processes: 4,
    strategy: rolling(),
  })
  await seconds(60)
  t.match(await status(), { phase: 'Promoted' })
  t.same(sides(shapes), [
    [
      [100, 4],
      [0, 0],
    ],
    [
      [100, 4],
      [0, 1],
    ],
    [
      [75, 3],
      [25, 1],
    ],
    [
      [50, 2],
      [50, 2],
    ],
    [
      [25, 1],
      [75, 3],
    ],
    [
      [100, 4],
      [0, 1],
    ],
  ])
  t.ok(
    shapes.every(one => carrying(one) >= 4),
    'never fewer than four take requests',
  )
  t.equal(world.runtime.most(), 5, 'one more at most')
  t.match(
    shape(),
    { running: { 'food11-v1': 1, 'food11-v2.candidate': 4 } },
    'the last of the old stays warm',
  )
})

t.test('weights are whole processes, rounded up', async t => {
  const steps = [{ setWeight: 10 }, { pause: {} }, { setWeight: 60 }, { pause: {} }]
  const { world, seconds, shape, shapes, act } = await startSeveral(t, {
    processes: 3,
    strategy: rolling(steps),
  })
  await seconds(6)
  t.match(shape(), { weights: { stable: 66.67, candidate: 33.33 }, processes: { stable: 2, candidate: 1 } })
  await act('resume')
  await seconds(4)
  t.match(shape(), { weights: { stable: 33.33, candidate: 66.67 }, processes: { stable: 1, candidate: 2 } })
  t.ok(shapes.every(one => carrying(one) >= 3))
  t.equal(world.runtime.most(), 4)
})

t.test('evidence against it gives the traffic back the same way, process by process', async t => {
  const { world, seconds, shapes, status, shape, audit } = await startSeveral(t, {
    processes: 4,
    strategy: rolling([{ setWeight: 75 }, { pause: {} }]),
  })
  await seconds(8)
  t.match(shape(), { processes: { stable: 1, candidate: 3 } })
  const up = shapes.length
  await seconds(30, failing)
  t.match(await status(), { phase: 'RolledBack', cause: 'failure', weight: 0 })
  t.same(sides(shapes.slice(up)), [
    [
      [25, 1],
      [75, 3],
    ],
    [
      [50, 2],
      [50, 2],
    ],
    [
      [75, 3],
      [25, 1],
    ],
    [
      [100, 4],
      [0, 0],
    ],
  ])
  t.ok(shapes.every(one => carrying(one) >= 4))
  t.equal(world.runtime.most(), 5)
  t.strictSame(shape().running, { 'food11-v1': 4 })
  t.ok((await audit()).some(({ action, reason }) => action === 'withdraw' && reason.includes('fails')))
})

t.test('an abort is in force at once, says what it does, and brings all of stable back', async t => {
  const { world, seconds, shape, status, act } = await startSeveral(t, {
    processes: 4,
    strategy: rolling([{ setWeight: 75 }, { pause: {} }]),
  })
  await seconds(8)
  t.match(await act('abort'), {
    message: 'aborted by ada, although stable has 1 of 4 processes until the others are back',
  })
  await seconds(1)
  t.match(world.gateway.policy().weights, { stable: 100, candidate: 0 })
  await seconds(3)
  t.match(await status(), { phase: 'Aborted', message: /^aborted by ada/ })
  t.match(shape(), { processes: { stable: 4 } })
  t.strictSame(shape().running, { 'food11-v1': 4 })
})

t.test('an abort hastens a withdrawal that goes process by process', async t => {
  const { world, seconds, act, status, shape } = await startSeveral(t, {
    processes: 4,
    strategy: rolling([{ setWeight: 75 }, { pause: {} }]),
  })
  await seconds(8)
  const { status: real } = world.runtime
  world.runtime.status = async () => ({ kind: 'starting', endpoints: [], reason: 'loading' })
  await seconds(8, failing)
  t.match(await status(), { phase: 'RollingBack', cause: 'failure' })
  t.match(shape(), { weights: { candidate: 75 } })
  await act('abort')
  await seconds(1)
  t.match(shape(), { weights: { stable: 100, candidate: 0 } })
  world.runtime.status = real
  await seconds(4)
  t.match(await status(), { phase: 'Aborted' })
  t.strictSame(shape().running, { 'food11-v1': 4 })
})

t.test('somebody who promotes has the rest replaced one by one', async t => {
  const { world, seconds, shapes, act, status } = await startSeveral(t, {
    processes: 4,
    strategy: rolling([{ setWeight: 25 }, { pause: {} }]),
  })
  await seconds(5)
  await act('promote')
  await seconds(12)
  t.match(await status(), { phase: 'Promoted', message: 'promoted by ada' })
  t.same(changesOf(shapes.map(({ weights }) => weights['candidate'])), [0, 25, 50, 75, 0])
  t.ok(shapes.every(one => carrying(one) >= 4))
  t.equal(world.runtime.most(), 5)
})

t.test(
  'a process that does not come keeps the others where they are, through another controller, too',
  async t => {
    const { world, seconds, shape, shapes, act, replaceController, status } = await startSeveral(t, {
      processes: 3,
      strategy: rolling([{ setWeight: 33 }, { pause: {} }, { setWeight: 66 }, { pause: {} }]),
    })
    await seconds(5)
    const { status: real } = world.runtime
    world.runtime.status = async () => ({ kind: 'starting', endpoints: [], reason: 'loading' })
    await act('resume')
    await seconds(4)
    await replaceController()
    await seconds(4)
    t.match(shape(), { weights: { candidate: 33.33 }, processes: { stable: 2, candidate: 1 } })
    t.match(await status(), { message: 'waiting for more processes: version 2: loading' })
    world.runtime.status = real
    await seconds(3)
    t.match(shape(), { weights: { candidate: 66.67 }, processes: { stable: 1, candidate: 2 } })
    t.equal(world.runtime.most(), 4)
    t.ok(shapes.every(one => carrying(one) >= 3))
  },
)

t.test('what it cannot replace one by one is refused, and so is a newer rollout in its midst', async t => {
  const refused = async (world: Awaited<ReturnType<typeof startWorld>>, message: RegExp) => {
    const control = await startControl(t, world)
    await t.rejects(control.client.startRollout(rolloutOf({ strategy: rolling() })), {
      code: 'conflict',
      message,
    })
  }
  await refused(await startWorld(t, {}, { processes: 1, runsStable: true }), /at least two processes/)
  await refused(await startWorld(t, {}, { processes: 2 }), /of one deployment of this controller/)
  const { world, seconds } = await startSeveral(t, {
    processes: 2,
    strategy: rolling([{ setWeight: 50 }, { pause: {} }]),
  })
  await seconds(6)
  const control = await startControl(t, world)
  await t.rejects(control.client.startRollout(rolloutOf({ supersede: true })), {
    code: 'conflict',
    message: /has taken the places of stable's processes; abort it first/,
  })
})

t.test('with all of them replaced at once, or a baseline beside them, it would not be rolling', async t => {
  const control = await startControl(t, await startWorld(t))
  for (const setting of [{ replicas: 2 }, { baseline: true }])
    await t.rejects(
      control.client.startRollout(rolloutOf({ strategy: { canary: { rolling: true, ...setting } } })),
      { code: 'invalid_setting', message: new RegExp(`strategy\\.canary\\.${Object.keys(setting)[0]}`) },
    )
})
