import t from 'tap'
import { changesOf, startSeveral } from './several.ts'

// Stable has several processes: the new version gets as many as its share of the traffic needs, before it gets that share.

const steps = [{ setWeight: 10 }, { ramp: { riskBudget: '5pp', to: 95 } }]

t.test('a canary has the processes that its weight needs before it has the weight', async t => {
  const { seconds, shapes, status, world } = await startSeveral(t, {
    processes: 4,
    strategy: { canary: { steps } },
  })
  await seconds(60)
  t.match(await status(), { phase: 'Promoted' })
  for (const { weights, processes } of shapes) {
    const { stable = 0, candidate = 0 } = weights
    t.ok(
      (processes['candidate'] ?? 0) >= (4 * candidate) / 100,
      `${processes['candidate']} for ${candidate} %`,
    )
    t.ok((processes['stable'] ?? 0) >= (4 * stable) / 100, `${processes['stable']} of stable for ${stable} %`)
  }
  t.same(changesOf(shapes.map(({ weights, processes }) => [weights['candidate'], processes['candidate']])), [
    [0, 0],
    [0, 1],
    [10, 1],
    [25, 1],
    [50, 2],
    [95, 4],
    [0, 4],
  ])
  t.same(world.gateway.policy().variants['stable']?.endpoints.length, 4)
})

t.test('a variant gets weight only after each of its processes was seen ready with its digest', async t => {
  const { world, seconds, shape, status, act } = await startSeveral(t, {
    processes: 4,
    strategy: { canary: { steps: [{ setWeight: 10 }, { pause: {} }, { setWeight: 50 }, { pause: {} }] } },
  })
  await seconds(4)
  const { status: real } = world.runtime
  const endpoints = ['http://127.0.0.1:1', 'http://127.0.0.1:2']
  world.runtime.status = async () => ({ kind: 'starting', endpoints, reason: '1 of 2 are ready: loading' })
  await act('resume')
  await seconds(5)
  t.match(shape(), {
    weights: { candidate: 10 },
    processes: { candidate: 1 },
    running: { 'food11-v2.candidate': 2 },
  })
  t.match(await status(), {
    phase: 'Progressing',
    message: 'waiting for more processes: version 2: 1 of 2 are ready: loading',
  })
  world.runtime.status = real
  await seconds(1)
  t.match(shape(), { weights: { candidate: 50 }, processes: { candidate: 2 } })
})

t.test('processes that never get ready, or are another version, withdraw it', async t => {
  for (const [found, message] of [
    [{ kind: 'starting', endpoints: [], reason: 'loading' }, /not ready within 120 s/],
    [{ kind: 'refused', endpoints: [], reason: 'too large' }, /too large/],
    [
      {
        kind: 'ready',
        endpoints: ['http://127.0.0.1:1', 'http://127.0.0.1:2'],
        digest: 'sha256:two and sha256:one',
      },
      /answers with sha256:two and sha256:one, not sha256:two/,
    ],
  ] as const) {
    const { world, seconds, shape, status, act } = await startSeveral(t, {
      processes: 4,
      strategy: { canary: { steps: [{ setWeight: 10 }, { pause: {} }, { setWeight: 50 }, { pause: {} }] } },
    })
    await seconds(4)
    world.runtime.status = async () => found
    await act('resume')
    await seconds(125)
    t.match(await status(), { phase: 'Failed', cause: 'not-ready', message })
    t.match(shape(), { weights: { stable: 100, candidate: 0 }, running: { 'food11-v1': 4 } })
    t.notOk('food11-v2.candidate' in shape().running)
  }
})

t.test('processes that nobody waits for any more withdraw nothing', async t => {
  const { world, seconds, status, act } = await startSeveral(t, {
    processes: 4,
    strategy: { canary: { steps: [{ setWeight: 10 }, { pause: {} }, { setWeight: 50 }, { pause: {} }] } },
  })
  await seconds(4)
  world.runtime.status = async () => ({ kind: 'starting', endpoints: [], reason: 'loading' })
  await act('resume')
  await seconds(2)
  await act('pause')
  await seconds(130)
  t.match(await status(), { phase: 'Paused', cause: 'operator', weight: 10 })
})

t.test('a lower weight leaves fewer processes, after the traffic has left them', async t => {
  const { seconds, shape, shapes } = await startSeveral(t, {
    processes: 4,
    strategy: {
      canary: { steps: [{ setWeight: 75 }, { pause: { duration: '3s' } }, { setWeight: 20 }, { pause: {} }] },
    },
    spec: { analysis: { interval: '1s', settle: '2s', advance: 'time', minRequests: 1 } },
  })
  await seconds(20)
  t.ok(
    shapes.some(
      ({ weights, running }) => weights['candidate'] === 75 && running['food11-v2.candidate'] === 3,
    ),
  )
  t.match(shape(), {
    weights: { candidate: 20 },
    processes: { candidate: 1 },
    running: { 'food11-v2.candidate': 1 },
  })
})

t.test('copies are work as well: a full mirror takes as many processes as stable has', async t => {
  const { seconds, shape } = await startSeveral(t, {
    processes: 3,
    policy: { mirror: { to: 'candidate' } },
    strategy: { shadow: { percent: 100 } },
  })
  await seconds(5)
  t.match(shape(), { running: { 'food11-v2.candidate': 3 }, processes: { candidate: 3 } })
})

t.test('so many replicas are there from the beginning when asked for', async t => {
  const { seconds, shape } = await startSeveral(t, {
    processes: 2,
    strategy: { canary: { steps: [{ setWeight: 10 }, { pause: {} }], replicas: 3 } },
  })
  await seconds(4)
  t.match(shape(), { weights: { candidate: 10 }, processes: { candidate: 3 } })
})

t.test('green has as many processes as blue before it is switched to, and blue keeps its own', async t => {
  const { seconds, shapes, status, shape } = await startSeveral(t, {
    processes: 2,
    strategy: { blueGreen: { record: '3s' } },
    spec: { analysis: { interval: '1s', settle: '2s', watch: '5s' } },
  })
  await seconds(25)
  t.match(await status(), { phase: 'Promoted' })
  t.same(changesOf(shapes.map(({ weights, processes }) => [weights['candidate'], processes['candidate']])), [
    [0, 0],
    [0, 2],
    [100, 2],
    [0, 2],
  ])
  t.match(shape(), { running: { 'food11-v1': 2, 'food11-v2.candidate': 2 } })
})

t.test('somebody who promotes at a low weight does not send all traffic to one process', async t => {
  const { seconds, shapes, status, act } = await startSeveral(t, {
    processes: 4,
    strategy: { canary: { steps: [{ setWeight: 10 }, { pause: {} }] } },
  })
  await seconds(4)
  t.match(await act('promote'), { phase: 'Promoting', message: 'promoted by ada' })
  await seconds(6)
  t.match(await status(), { phase: 'Promoted', message: 'promoted by ada' })
  t.same(changesOf(shapes.map(({ weights, processes }) => [weights['candidate'], processes['stable']])), [
    [0, 4],
    [10, 4],
    [0, 4],
  ])
})

t.test('an abort while a promotion waits for processes leaves everything as it was', async t => {
  const { world, seconds, shape, status, act } = await startSeveral(t, {
    processes: 4,
    strategy: { canary: { steps: [{ setWeight: 10 }, { pause: {} }] } },
  })
  const [before] = [world.gateway.policy().variants['stable']?.endpoints]
  await seconds(4)
  world.runtime.status = async () => ({ kind: 'starting', endpoints: [], reason: 'loading' })
  await act('promote')
  await seconds(3)
  t.match(await status(), { phase: 'Promoting' })
  t.match(shape(), { weights: { candidate: 10 } })
  await act('abort')
  await seconds(2)
  t.match(await status(), { phase: 'Aborted' })
  t.match(shape(), { weights: { stable: 100 }, running: { 'food11-v1': 4 } })
  t.same(world.gateway.policy().variants['stable']?.endpoints, before)
})

t.test('a controller that takes over while processes are started goes on', async t => {
  const { seconds, shape, act, replaceController } = await startSeveral(t, {
    processes: 4,
    strategy: { canary: { steps: [{ setWeight: 10 }, { pause: {} }, { setWeight: 75 }, { pause: {} }] } },
  })
  await seconds(4)
  await act('resume')
  await seconds(1)
  await replaceController()
  await seconds(3)
  t.match(shape(), { weights: { candidate: 75 }, processes: { candidate: 3 } })
})
