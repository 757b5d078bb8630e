import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { SCENARIOS } from '../../cli/scenario/scenarios.ts'
import { readBase, writeVersion } from '../../cli/scenario/version-content.ts'
import { createGatewayClient } from '../../client/gateway.ts'
import { ENDED_PHASES } from '../../contract/pipeline.ts'
import { until } from '../helpers/until.ts'
import { copyModels, startUsedStack } from './used-stack.ts'

// The shadow gate on real processes: what users send is copied to what runs in staging, and production's two instances answer.

t.setTimeout(300_000)

const LIMIT_MS = 120_000
const { models, writePipeline } = await copyModels(t)
const state = await mkdtemp(join(tmpdir(), 'weir-state-'))
t.teardown(() => rm(state, { recursive: true, force: true, maxRetries: 5 }))
const base = await readBase('models/food11/1')
const degraded = SCENARIOS['degraded']?.build(base, { name: '4', memoryLimitMiB: 512 })
if (degraded === undefined) throw new Error('there is no such scenario')
const alike = { manifest: { ...base.json, version: '3' }, model: [base.model], files: base.files }
await writeVersion(join(models, 'food11', '3'), alike)
await writeVersion(join(models, 'food11', '4'), degraded)
await writePipeline(
  `gates:
  integration: false
  resources: false
  load: false
  quality: false
  shadow: { within: 90s, interval: 500ms, agreement: { atLeast: 0.9 }, failures: { atMost: 0.1 } }
`,
)
await writeFile(join(state, 'environments.yaml'), 'production: { instances: 2 }\n')
const { stack, controller, load } = await startUsedStack(t, { models, state, requestsPerSecond: 15 })
const gateway = createGatewayClient({ baseUrl: stack.operatorUrl })

const stepOf = async (id: string, name: string) =>
  (await controller.pipeline(id)).steps.find(step => step.name === name)
const gatesEnd = (id: string) =>
  until(`the gates of ${id} end`, LIMIT_MS, async () => {
    const step = await stepOf(id, 'gates')
    return step !== undefined && !['pending', 'running'].includes(step.status) && step
  })

t.test('production has as many instances as environments.yaml says, and users are led to all', async t => {
  await until('two instances', LIMIT_MS, async () => {
    const { policy } = await gateway.route('food11')
    return policy.variants['stable']?.endpoints.length === 2
  })
  await until('the environment says so', LIMIT_MS, async () => {
    return (await controller.environment('production')).current?.instances === 2
  })
  t.match(await controller.environment('production'), {
    current: { version: '1' },
    settings: { instances: 2 },
  })
})

t.test('a version that answers otherwise than production fails on copies of live requests', async t => {
  const { id } = await controller.startPipeline('food11', '4')
  t.match(await gatesEnd(id), {
    status: 'failed',
    message: /shadow: /,
    evidence: [{ gate: 'shadow', verdict: 'fail', evidence: { gate: 'shadow' } }],
  })
  const ended = await until('the end', LIMIT_MS, async () => {
    const run = await controller.pipeline(id)
    return ENDED_PHASES.has(run.phase) && run
  })
  t.match(ended, { phase: 'Failed' })
  t.not((await gateway.route('food11')).policy.mirror?.percent, 100, 'nothing is copied any more')
})

t.test('a version that answers as production does passes, and goes on', async t => {
  const { id } = await controller.startPipeline('food11', '3')
  t.match(await gatesEnd(id), {
    status: 'passed',
    message: 'passed: shadow',
    evidence: [{ verdict: 'pass' }],
  })
})

t.test('no user noticed', async t => {
  const result = await load.stop()
  t.equal(result.failed, 0, result.firstFailure ?? `of ${result.sent}`)
  t.ok(result.sent > 50)
})
