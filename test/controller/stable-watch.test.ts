import t, { type Test } from 'tap'
import { createShareAlarm, type Turn } from '../../controller/alerts/share-alarm.ts'
import { createStableWatch, type StableReading } from '../../controller/alerts/stable-watch.ts'
import { parseAlertsConfig } from '../../controller/alerts/config.ts'
import { pass, rolloutOf, startControl, startWorld, type Control, type World } from './control.ts'
import { startReceiver } from './receiver.ts'
import { json, listen, type Misbehaviour } from './small-gateway.ts'

// the decision: pure

/** Numbers in [0, 1), the same in every run. */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

function draw(random: () => number, requests: number, rate: number): number {
  let events = 0
  for (let n = 0; n < requests; n++) if (random() < rate) events++
  return events
}

interface Watching {
  readonly rate: number
  readonly looks: number
  readonly requests?: number
  readonly firing?: boolean
}

function watch(random: () => number, { rate, looks, requests = 50, firing = false }: Watching) {
  const alarm = createShareAlarm({ limit: 0.05, minSamples: 100, firing })
  const turns: { look: number; turn: Turn['turn'] }[] = []
  for (let look = 1; look <= looks; look++) {
    const turn = alarm.step({ events: draw(random, requests, rate), requests })
    if (turn) turns.push({ look, turn: turn.turn })
  }
  return turns
}

t.test('a service below its limit, or at it, raises nothing over many looks', async t => {
  for (const seed of [1, 2, 3]) {
    const random = createRandom(seed)
    t.same(watch(random, { rate: 0, looks: 20_000 }), [])
    t.same(watch(random, { rate: 0.025, looks: 20_000 }), [])
    t.same(watch(random, { rate: 0.05, looks: 5000 }), [], 'exactly at the limit')
  }
})

t.test('harm is found soon, also after a long good time', async t => {
  for (const seed of [1, 2, 3]) {
    const random = createRandom(seed)
    const alarm = createShareAlarm({ limit: 0.05, minSamples: 100, firing: false })
    for (let look = 0; look < 10_000; look++) alarm.step({ events: draw(random, 50, 0.005), requests: 50 })
    let looks = 1
    while (alarm.step({ events: draw(random, 50, 0.15), requests: 50 }) === null) looks++
    t.ok(looks <= 12, `${looks} looks of 50 requests at three times the limit`)
  }
})

t.test('under the minimum of samples nothing is raised, however bad', async t => {
  const alarm = createShareAlarm({ limit: 0.05, minSamples: 100, firing: false })
  for (let look = 0; look < 9; look++) t.equal(alarm.step({ events: 10, requests: 10 }), null)
  t.same(alarm.step({ events: 10, requests: 10 }), {
    turn: 'raise',
    evidence: { events: 100, requests: 100 },
  })
})

t.test('what stands is resolved once, on evidence of health alone', async t => {
  const random = createRandom(5)
  t.same(watch(random, { rate: 0.06, looks: 20_000, firing: true }), [], 'above the limit it stands')
  const turns = watch(random, { rate: 0.005, looks: 2000, firing: true })
  t.equal(turns.length, 1)
  t.match(turns, [{ turn: 'resolve' }])
  const idle = createShareAlarm({ limit: 0.05, minSamples: 100, firing: true })
  for (let look = 0; look < 1000; look++) t.equal(idle.step({ events: 0, requests: 0 }), null)
})

const NOTHING: StableReading = { requests: null, drift: null, pairs: null }

function limitsOf(yaml: string) {
  const { watch } = parseAlertsConfig(`watch: ${yaml}`, 'alerts.yaml')
  if (!watch) throw new Error('no watch')
  return watch
}

t.test('drift is raised at one index and resolved at a lower one', async t => {
  const { step } = createStableWatch(limitsOf('{ drift: {} }'), new Set())
  const turnsAt = (psi: number, samples = 500) =>
    step({ ...NOTHING, drift: { feature: 'brightness', psi, samples } }).map(({ turn }) => turn)
  t.same(turnsAt(0.24), [])
  t.same(turnsAt(0.9, 99), [], 'too few images')
  t.same(turnsAt(0.25), ['raise'])
  for (const psi of [0.5, 0.2, 0.3, 0.11]) t.same(turnsAt(psi), [])
  t.same(step(NOTHING), [], 'not known is not well')
  t.same(turnsAt(0.09), ['resolve'])
  t.same(turnsAt(0.2), [])
})

t.test('latency is watched by the share that is slower than the limit', async t => {
  const { step } = createStableWatch(limitsOf('{ latency: { quantile: 0.9, atMostMs: 200 } }'), new Set())
  const reading = (slow: number): StableReading => ({
    ...NOTHING,
    requests: {
      requests: 100,
      failures: 0,
      clientErrors: 0,
      flow: undefined,
      durations: { bounds: [0.1, 0.2, 0.4], counts: [0, 100 - slow, 100], total: 100 },
    },
  })
  for (let look = 0; look < 50; look++) t.same(step(reading(5)), [])
  const turns = Array.from({ length: 5 }, () => step(reading(60))).flat()
  t.match(turns, [
    {
      watched: 'slow',
      turn: 'raise',
      summary: /^60 % of \d+ requests to stable took over 200 ms, 10 % may$/,
    },
  ])
  t.equal(turns.length, 1)
})

// on a gateway, over restarts

const WATCH = `
  interval: 1s
  successRate: { atLeast: 0.95 }
  drift: {}
  agreement: { atLeast: 0.9 }
  minSamples: 50
`

async function watchedWorld(t: Test, watch = WATCH) {
  const receiver = await startReceiver(t)
  const drift = { psi: 0, samples: 500, metrics: 0 }
  const stable = await listen(t, (request, response) => {
    if (request.url !== '/metrics')
      return json(response, { model: 'food11', model_version: '1', digest: 'sha256:one' })
    drift.metrics += 1
    response.end(
      `weir_serving_drift_samples ${drift.samples}\nweir_serving_psi{feature="sharpness"} 0.01\nweir_serving_psi{feature="brightness"} ${drift.psi}\n`,
    )
  })
  const world = await startWorld(t, {
    variants: { stable: { endpoints: [stable] }, candidate: { endpoints: [] } },
  })
  const yaml = `receivers: [{ name: pager, webhook: { url: "${receiver.url}" } }]\nwatch: {${watch.trim().replaceAll('\n', ',')}}`
  const start = () => startControl(t, world, undefined, yaml)
  const told = () =>
    receiver.got.map(({ body }) => {
      const { alert, status } = body as { alert: string; status: string }
      return `${alert} ${status}`
    })
  return { world, receiver, drift, start, told, control: await start() }
}

async function look(world: World, control: Control, { looks, ...rest }: Misbehaviour & { looks: number }) {
  for (let n = 0; n < looks; n++) {
    world.clock.forward(1000)
    world.gateway.serve(20, rest)
    await control.watch()
    await control.deliver()
  }
}

t.test('stable that fails is told once and its recovery once, without any rollout', async t => {
  const { world, control, receiver, told } = await watchedWorld(t)
  await look(world, control, { looks: 60 })
  t.same(told(), [])
  await look(world, control, { looks: 60, failing: { stable: 0.3 } })
  t.same(told(), ['WeirStableFailing firing'])
  t.match(receiver.got[0]?.body, {
    severity: 'critical',
    labels: { route: 'food11' },
    summary: /^30 % of \d+ requests to stable failed, 5 % are allowed$/,
  })
  await look(world, control, { looks: 60 })
  t.same(told(), ['WeirStableFailing firing', 'WeirStableFailing resolved'])
})

t.test('a restart repeats nothing, and resolves what the one before raised', async t => {
  const { world, control, start, told } = await watchedWorld(t)
  await look(world, control, { looks: 20, failing: { stable: 0.3 } })
  await control.stop()
  const second = await start()
  await look(world, second, { looks: 30, failing: { stable: 0.3 } })
  t.same(told(), ['WeirStableFailing firing'])
  await second.stop()
  const third = await start()
  await look(world, third, { looks: 40 })
  t.same(told(), ['WeirStableFailing firing', 'WeirStableFailing resolved'])
})

t.test('a gateway that cannot be read raises nothing and resolves nothing', async t => {
  const { world, control, told } = await watchedWorld(t)
  await look(world, control, { looks: 20, failing: { stable: 0.3 } })
  world.gateway.metricsUp = false
  await look(world, control, { looks: 100 })
  t.same(told(), ['WeirStableFailing firing'])
})

t.test('the candidate’s failures in a rollout are the rollout’s, not stable’s', async t => {
  const { world, control, told } = await watchedWorld(t)
  const { name } = await control.client.startRollout(
    rolloutOf({ strategy: { canary: { steps: [{ setWeight: 50 }, { pause: {} }] } } }),
  )
  while ((await control.client.rollout(name)).endedAt === null) {
    await pass(world, control, { name, seconds: 1, requestsPerSecond: 40, failing: { candidate: 0.5 } })
    world.gateway.compare({ agree: 0, disagree: 20 })
    await control.watch()
    await control.deliver()
  }
  t.same(told(), ['WeirRolloutWithdrawn event'])
})

t.test('drift that the model servers tell is an alert', async t => {
  const { world, control, drift, receiver, told } = await watchedWorld(t)
  drift.psi = 0.4
  drift.samples = 49
  await look(world, control, { looks: 5 })
  t.same(told(), [], 'too few images')
  drift.samples = 400
  await look(world, control, { looks: 5 })
  t.same(told(), ['WeirStableDrifting firing'])
  t.match(receiver.got[0]?.body, { summary: /^brightness: .* 0\.40 over 400 images, raised at 0\.25$/ })
  drift.psi = 0.15
  await look(world, control, { looks: 5 })
  drift.psi = 0.05
  await look(world, control, { looks: 5 })
  t.same(told(), ['WeirStableDrifting firing', 'WeirStableDrifting resolved'])
})

t.test('mirrored answers that disagree are an alert', async t => {
  const { world, control, told } = await watchedWorld(t)
  const compare = async (pairs: { agree: number; disagree: number }, looks: number) => {
    for (let n = 0; n < looks; n++) {
      world.gateway.compare(pairs)
      await look(world, control, { looks: 1 })
    }
  }
  await compare({ agree: 19, disagree: 1 }, 30)
  t.same(told(), [])
  await compare({ agree: 10, disagree: 10 }, 30)
  t.same(told(), ['WeirDisagreement firing'])
  await compare({ agree: 20, disagree: 0 }, 30)
  t.same(told(), ['WeirDisagreement firing', 'WeirDisagreement resolved'])
})

t.test('an alert whose limit was taken out of the file is resolved', async t => {
  const { world, control, told, receiver } = await watchedWorld(t)
  await look(world, control, { looks: 20, failing: { stable: 0.3 } })
  await control.stop()
  const yaml = `receivers: [{ name: pager, webhook: { url: "${receiver.url}" } }]\nwatch: { drift: {} }`
  const second = await startControl(t, world, undefined, yaml)
  await look(world, second, { looks: 5, failing: { stable: 0.3 } })
  t.same(told(), ['WeirStableFailing firing', 'WeirStableFailing resolved'])
})

t.test('limits of a single route take the place of the general ones', async t => {
  const { world, control, told } = await watchedWorld(
    t,
    `${WATCH.trim()}\n  routes: { food11: { successRate: { atLeast: 0.5 } } }`,
  )
  await look(world, control, { looks: 60, failing: { stable: 0.3 } })
  t.same(told(), [])
  await look(world, control, { looks: 60, failing: { stable: 0.9 } })
  t.same(told(), ['WeirStableFailing firing'])
})
