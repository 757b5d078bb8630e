import { readFile } from 'node:fs/promises'
import t from 'tap'
import { createControllerClient, type Rollout } from '../../client/controller.ts'
import { createGatewayClient } from '../../client/gateway.ts'
import { startStack } from '../../cli/demo/stack.ts'
import { readPhotos, startSteadyLoad } from '../../cli/load/steady-load.ts'
import { TERMINAL_PHASES } from '../../contract/rollout.ts'
import { parseExposition } from '../../lib/exposition.ts'
import { isAlive } from '../../lib/shutdown.ts'
import { processesOf } from '../helpers/processes.ts'
import { until } from '../helpers/until.ts'

// The whole thing as a user has it: real processes, real models, the sample photos.

const SAMPLES = 'models/food11/samples'
/** Half the traffic, a wide budget and a short settling time: the same machinery within seconds. */
const QUICK = {
  apiVersion: 'weir.dev/v1alpha1',
  kind: 'Rollout',
  spec: {
    route: 'food11',
    modelVersion: '2',
    strategy: { canary: { steps: [{ setWeight: 50 }, { ramp: { riskBudget: '5pp', to: 95 } }] } },
    // on a machine that does other work as well one process may be slower than the other for no fault of its version
    analysis: { interval: '500ms', settle: '2s', latency: { toleranceRatio: 8 } },
  },
}

const stack = await startStack()
t.teardown(() => stack.stop())
const gateway = createGatewayClient({ baseUrl: stack.operatorUrl })
const controller = createControllerClient({ baseUrl: stack.controllerUrl, actor: 'e2e' })
const photos = await readPhotos(SAMPLES)

t.test('a photo is answered with label, confidence, top-k, version and id, in all three forms', async t => {
  const photo = photos[0] ?? Buffer.alloc(0)
  const form = new FormData()
  form.append('file', new Blob([new Uint8Array(photo)]), 'photo.jpg')
  const forms: { body: FormData | Blob | string; headers?: Record<string, string> }[] = [
    { body: form },
    { body: new Blob([new Uint8Array(photo)]), headers: { 'content-type': 'image/jpeg' } },
    {
      body: JSON.stringify({ image: photo.toString('base64') }),
      headers: { 'content-type': 'application/json' },
    },
  ]
  const answers = await Promise.all(
    forms.map(async init => (await fetch(`${stack.publicUrl}/predict`, { method: 'POST', ...init })).json()),
  )
  for (const answer of answers) {
    t.match(answer, {
      label: String,
      confidence: Number,
      model: 'food11',
      model_version: '1',
      prediction_id: String,
    })
    t.ok((answer as { top_k: unknown[] }).top_k.length >= 3)
  }
  t.equal(
    new Set(answers.map(answer => JSON.stringify((answer as { confidence: number }).confidence))).size,
    1,
  )
})

t.test('/test and /version say what answers', async t => {
  const { digest } = JSON.parse(await readFile('models/food11/1/model.json', 'utf8')) as { digest: string }
  t.match(await (await fetch(`${stack.publicUrl}/version`)).json(), {
    model: 'food11',
    model_version: '1',
    digest,
  })
  t.match(await (await fetch(`${stack.publicUrl}/test`)).json(), { label: String, expected: String })
})

t.test('the operator sets 90/10 and gets 90/10', async t => {
  await gateway.patchRoute('food11', { weights: { stable: 90, candidate: 10 } })
  const seen: Record<string, number> = {}
  for (let n = 0; n < 200; n++) {
    const variant = await variantOf(`${stack.publicUrl}/version`)
    seen[variant] = (seen[variant] ?? 0) + 1
  }
  t.same(seen, { stable: 180, candidate: 20 })
})

t.test('users stay where they are, and move only towards the variant that grows', async t => {
  const users = Array.from({ length: 100 }, (_, n) => `user-${n}`)
  const assigned = async () =>
    Promise.all(users.map(user => variantOf(`${stack.publicUrl}/version`, { 'x-user-id': user })))
  await gateway.patchRoute('food11', { weights: { stable: 80, candidate: 20 } })
  const first = await assigned()
  t.same(await assigned(), first)
  await gateway.patchRoute('food11', { weights: { stable: 50, candidate: 50 } })
  const grown = await assigned()
  t.notOk(
    first.some((variant, n) => variant === 'candidate' && grown[n] === 'stable'),
    'nobody moves back',
  )
  await gateway.patchRoute('food11', { weights: { stable: 100, candidate: 0 } })
  t.notOk((await assigned()).includes('candidate'), 'weight 0 gets nobody')
})

t.test('every request is mirrored and counted at 100 %, and the live answers are stable’s', async t => {
  const before = await mirrored()
  await gateway.patchRoute('food11', { mirror: { to: 'candidate', percent: 100 } })
  const load = startSteadyLoad({ url: stack.publicUrl, photos, requestsPerSecond: 20, users: 0 })
  await until('forty requests', 20_000, async () => load.snapshot().answered >= 40)
  const result = await load.stop()
  t.same(Object.keys(result.byVariant), ['stable'])
  t.equal(result.failed, 0)
  await until('all of them mirrored', 10_000, async () => (await mirrored()) - before === result.sent)
  await gateway.patchRoute('food11', { mirror: { to: 'candidate', percent: 0 } })
})

t.test('a good version is promoted and a failing one withdrawn, and clients notice neither', async t => {
  const load = startSteadyLoad({ url: stack.publicUrl, photos, requestsPerSecond: 40, users: 0 })
  const good = await ended((await controller.startRollout(QUICK)).name)
  t.match(good, { phase: 'Promoted', name: 'food11-v2' }, good.message)
  const version = async (variant: string) =>
    (await fetch(`${stack.publicUrl}/version`, { headers: { 'x-weir-variant': variant } })).json()
  t.match(await version('stable'), { model_version: '2' })
  t.match(await version('candidate'), { model_version: '1' }, 'the old version stays warm')

  await t.rejects(
    controller.startRollout(QUICK),
    { code: 'conflict' },
    'what is stable already needs a drill',
  )
  const drilled = { ...QUICK, spec: { ...QUICK.spec, drill: { failRate: 0.3 } } }
  const started = await controller.startRollout(drilled)
  t.equal(started.name, 'food11-v2-2')
  await t.rejects(controller.startRollout(drilled), { code: 'conflict' }, 'two rollouts on one route')
  const bad = await ended(started.name)
  t.match(bad, { phase: 'RolledBack', cause: 'failure' }, bad.message)
  t.ok((bad.withdrawMs ?? Infinity) < 1000, `traffic off after ${bad.withdrawMs} ms`)
  t.match((await gateway.route('food11')).policy.weights, { stable: 100, candidate: 0 })
  t.match(await version('stable'), { model_version: '2' })

  const result = await load.stop()
  t.equal(result.failed, 0, result.firstFailure ?? `of ${result.sent}`)
  t.ok(result.fallbacks > 0, 'failures were real, and stable answered')
  const actions = (await controller.audit({ subject: started.name })).map(record => record.action)
  for (const action of ['start', 'set-weight', 'withdraw', 'rolled-back', 'policy-applied'])
    t.ok(actions.includes(action), action)
})

t.test(
  'a policy that somebody else writes pauses the rollout until resumed; an abort ends it at once',
  async t => {
    const { name } = await controller.startRollout({ ...QUICK, spec: { ...QUICK.spec, modelVersion: '1' } })
    await until('half the traffic', 20_000, async () => (await controller.rollout(name)).weight === 50)
    await until(
      'weights applied',
      5000,
      async () => (await gateway.route('food11')).policy.weights['candidate'] === 50,
    )
    await gateway.patchRoute('food11', { weights: { stable: 70, candidate: 30 } })
    const paused = await until('pause', 5000, async () => {
      const rollout = await controller.rollout(name)
      return rollout.phase === 'Paused' && rollout
    })
    t.match(paused, { cause: 'manual-change', weight: 30 })
    await controller.act(name, 'resume')
    const since = Date.now()
    await controller.act(name, 'abort', { reason: 'enough seen' })
    t.equal((await ended(name)).phase, 'Aborted')
    t.ok(Date.now() - since < 2000)
    t.match((await gateway.route('food11')).policy.weights, { stable: 100, candidate: 0 })
  },
)

t.test('a controller that is killed in the middle of a rollout goes on where it was', async t => {
  const load = startSteadyLoad({ url: stack.publicUrl, photos, requestsPerSecond: 40, users: 0 })
  const { name } = await controller.startRollout({ ...QUICK, spec: { ...QUICK.spec, modelVersion: '1' } })
  await until('half the traffic', 20_000, async () => (await controller.rollout(name)).weight === 50)
  const [before] = await processesOf(stack.pid, 'controller/main.ts')
  process.kill(before ?? 0, 'SIGKILL')
  const after = await until(
    'another controller',
    20_000,
    async () => (await processesOf(stack.pid, 'controller/main.ts'))[0],
  )
  t.not(after, before)
  await until(
    'its API',
    20_000,
    async () => (await controller.rollouts().catch(() => undefined)) !== undefined,
  )
  t.equal((await ended(name)).phase, 'Promoted')
  const changes = (await controller.audit({ subject: name })).filter(record => record.action === 'set-weight')
  t.equal(new Set(changes.map(record => record.reason)).size, changes.length, 'nothing happened twice')
  t.equal((await load.stop()).failed, 0)
})

t.test('it stops cleanly and leaves no process behind', async t => {
  const pids = (await processesOf(stack.pid, '')).concat(stack.pid)
  t.ok(pids.length >= 4)
  await stack.stop()
  await until('every process is gone', 2000, async () => pids.every(pid => !isAlive(pid)))
})

async function variantOf(url: string, headers: Record<string, string> = {}): Promise<string> {
  const response = await fetch(url, { headers })
  await response.arrayBuffer()
  return response.headers.get('x-weir-variant') ?? 'none'
}

async function mirrored(): Promise<number> {
  const samples = parseExposition(await gateway.metrics('food11'))
  const copies = samples.filter(
    ({ name, labels }) => name === 'weir_requests_total' && labels['kind'] === 'mirror',
  )
  return copies.reduce((sum, { value }) => sum + value, 0)
}

async function ended(name: string): Promise<Rollout> {
  return until(`${name} ends`, 90_000, async () => {
    const rollout = await controller.rollout(name)
    return TERMINAL_PHASES.has(rollout.phase) && rollout
  })
}
