import t from 'tap'
import { ENDED_PHASES, type StepName } from '../../contract/pipeline.ts'
import { processesOf } from '../helpers/processes.ts'
import { until } from '../helpers/until.ts'
import { copyModels, startUsedStack } from './used-stack.ts'

// A version on its way to production on real processes, while users send photos all the time.

t.setTimeout(300_000)

const { models, writePipeline } = await copyModels(t)
// half the traffic and a wide budget: the same machinery within seconds
await writePipeline(`gates: { load: { requests: 40, p95BelowMs: 20000 }, resources: { requests: 20 }, quality: false }
strategy: { canary: { steps: [{ setWeight: 50 }, { ramp: { riskBudget: 20pp, to: 95 } }] } }
analysis: { interval: 500ms, settle: 2s }
`)
const { stack, controller, load } = await startUsedStack(t, { models, requestsPerSecond: 15 })

const view = (id: string) => controller.pipeline(id).catch(() => undefined) // a controller may just be starting again
const reaches = (id: string, step: StepName) =>
  until(`${id} reaches ${step}`, 90_000, async () => {
    const found = await view(id)
    const status = found?.steps.find(({ name }) => name === step)?.status
    if (found !== undefined && ENDED_PHASES.has(found.phase)) throw new Error(found.message)
    return status !== undefined && status !== 'pending'
  })
const ends = (id: string) =>
  until(`${id} ends`, 90_000, async () => {
    const found = await view(id)
    return found !== undefined && ENDED_PHASES.has(found.phase) && found
  })

t.test(
  'a version goes to production, although the controller is killed in its gates',
  { timeout: 200_000 },
  async t => {
    await until(
      'production',
      30_000,
      async () => (await controller.environment('production')).current?.version === '1',
    )
    const { id } = await controller.startPipeline('food11', '2')
    await reaches(id, 'gates')
    const [pid = 0] = await processesOf(stack.pid, 'controller/main.ts')
    process.kill(pid, 'SIGKILL')
    await reaches(id, 'approval')
    await t.rejects(controller.judgePipeline(id, 'approve', { as: '' }), { code: 'bad_request' })
    await controller.judgePipeline(id, 'approve', { as: 'grace', reason: 'the photos look right' })
    const passed = await ends(id)
    t.match(passed, { phase: 'Passed', outputs: { approvedBy: 'grace' } }, passed.message)
    t.match(await (await fetch(`${stack.publicUrl}/version`)).json(), { model_version: '2' })
    const { items: versions } = await controller.versions('food11')
    t.same(versions.find(({ version }) => version === '2')?.aliases, ['staging', 'canary', 'production'])
    const told = (await controller.audit({ subject: `pipeline/${id}` })).map(
      ({ action, actor }) => `${actor}: ${action}`,
    )
    for (const { name } of passed.steps) t.ok(told.includes(`pipeline: ${name} passed`), name)
    t.ok(told.includes('grace: approve'))
  },
)

t.test('no user noticed', { timeout: 200_000 }, async t => {
  const result = await load.stop()
  t.equal(result.failed, 0, result.firstFailure ?? `of ${result.sent}`)
  t.ok(result.sent > 50)
})
