import t, { type Test } from 'tap'
import { history } from '../../contract/history.ts'
import { rolloutFile } from '../../contract/rollout.ts'
import { judgeOptions, replay } from '../../controller/judge/judge.ts'
import { pass, rolloutOf, startControl, startWorld } from './control.ts'
import { json, listen } from './small-gateway.ts'

const canary = { steps: [{ setWeight: 50 }, { ramp: { riskBudget: '5pp', to: 95 } }] }
const METRIC = {
  name: 'gpu-errors',
  query: 'sum(rate(gpu_errors_total[1m]))',
  successCondition: 'result < 0.01',
  failureCondition: 'result > 0.5',
  consecutiveErrorLimit: 2,
}

function rollout(metric: object = {}): object {
  return rolloutOf({
    strategy: { canary },
    analysis: { interval: '1s', settle: '2s', metrics: [{ ...METRIC, ...metric }] },
  })
}

/** A rollout with one metric, and a Prometheus server that answers what the test says; undefined: an error. */
async function started(t: Test, metric: object = {}) {
  const answers = { value: '0.001' as string | undefined, asked: [] as (string | null)[] }
  const url = await listen(t, (request, response) => {
    answers.asked.push(new URL(request.url ?? '', 'http://prometheus').searchParams.get('query'))
    if (answers.value === undefined) return void response.writeHead(503).end()
    const result = [{ metric: {}, value: [1, answers.value] }]
    json(response, { status: 'success', data: { resultType: 'vector', result } })
  })
  const world = await startWorld(t)
  const control = await startControl(t, world, url)
  const { name } = await control.client.startRollout(rollout(metric))
  const seconds = (seconds: number) => pass(world, control, { name, seconds, requestsPerSecond: 50 })
  return { world, control, name, url, answers, seconds, status: () => control.client.rollout(name) }
}

t.test('a rollout goes on only while the success condition holds', async t => {
  const { answers, seconds, status } = await started(t)
  answers.value = '0.2'
  await seconds(60)
  t.match(await status(), {
    phase: 'Progressing',
    weight: 50,
    message: /gpu-errors is 0\.2: result < 0\.01 does not hold/,
    metrics: [{ name: 'gpu-errors', value: 0.2, action: 'hold' }],
  })
  t.same([...new Set(answers.asked)], [METRIC.query])
  answers.value = '0'
  await seconds(30)
  t.equal((await status()).phase, 'Promoted')
})

t.test('the failure condition withdraws when it is true three looks in a row', async t => {
  const { answers, seconds, status } = await started(t)
  await seconds(4)
  answers.value = '0.9'
  await seconds(2)
  t.equal((await status()).phase, 'Progressing')
  await seconds(1)
  t.match(await status(), {
    phase: 'RollingBack',
    cause: 'metric',
    message: /operator's rule for gpu-errors/,
  })
  await seconds(1)
  t.match(await status(), { phase: 'RolledBack', weight: 0 })
})

t.test('errors hold, and too many in a row pause until somebody resumes', async t => {
  const { answers, seconds, status, control, name } = await started(t)
  await seconds(4)
  answers.value = undefined
  await seconds(2)
  t.match(await status(), { phase: 'Progressing', message: /gpu-errors cannot be measured: .*503/ })
  await seconds(1)
  t.match(await status(), { phase: 'Paused', cause: 'metric-error', weight: 50 })
  t.match((await control.client.audit({ subject: name }))[0], {
    action: 'pause',
    reason: /cannot be measured/,
  })
  t.match((await control.client.explain(name)).sentences[0], /weir rollout resume food11-v2/)
  answers.value = '0'
  await seconds(30)
  t.equal((await status()).phase, 'Paused', 'a person decides whether it goes on')
  await control.client.act(name, 'resume')
  await seconds(30)
  t.equal((await status()).phase, 'Promoted')
})

t.test('a dry run is measured and told, and changes nothing', async t => {
  const { answers, seconds, status } = await started(t, { dryRun: true })
  answers.value = '0.9'
  await seconds(8)
  t.match(await status(), { metrics: [{ value: 0.9, action: 'pass', reason: /^dry run, would withdraw/ }] })
  await seconds(30)
  t.equal((await status()).phase, 'Promoted')
})

t.test('a controller that was replaced goes on counting looks in a row', async t => {
  const { world, control, name, url, answers, seconds } = await started(t)
  await seconds(4)
  answers.value = '0.9'
  await seconds(2)
  await control.stop()
  const second = await startControl(t, world, url)
  await pass(world, second, { name, seconds: 1, requestsPerSecond: 50 })
  t.match(await second.client.rollout(name), { phase: 'RollingBack', cause: 'metric' })
})

t.test('what was measured is recorded, and a replay holds alike', async t => {
  const { answers, seconds, status, control, name } = await started(t)
  answers.value = 'NaN'
  await seconds(20)
  const exported = await control.client.evidence(name)
  const recorded = history.parse(exported.history)
  t.match(recorded.looks.at(-1)?.metrics, [{ name: 'gpu-errors', value: 'NaN' }])
  const { spec } = rolloutFile.parse(exported.rollout)
  t.same(replay(recorded, judgeOptions(spec, recorded)).at(-1), (await status()).decision)
})

t.test('metrics that could never be measured are refused before anything starts', async t => {
  const world = await startWorld(t)
  const without = await startControl(t, world)
  const refused = { code: 'invalid_setting' }
  await t.rejects(without.client.startRollout(rollout()), { ...refused, message: /PROMETHEUS_URL/ })
  await without.stop()
  const { client } = await startControl(t, world, 'http://127.0.0.1:1')
  await t.rejects(client.startRollout(rollout({ failureCondition: 'process.exit()' })), {
    ...refused,
    message: /^spec\.analysis\.metrics\.0\.failureCondition: expected `result` or a number/,
  })
  const none = { successCondition: undefined, failureCondition: undefined }
  await t.rejects(client.startRollout(rollout(none)), { ...refused, message: /needs a successCondition/ })
  t.same(await client.rollouts(), [])
})
