import t from 'tap'
import { createControllerClient } from '../../client/controller.ts'
import { startStack } from '../../cli/demo/stack.ts'
import { readPhotos, startSteadyLoad } from '../../cli/load/steady-load.ts'
import type { EnvironmentName } from '../../contract/environment.ts'
import { processesOf } from '../helpers/processes.ts'
import { until } from '../helpers/until.ts'

// Promotions and rollbacks on real processes, while users and testers send photos all the time.

t.setTimeout(300_000)

const stack = await startStack()
t.teardown(() => stack.stop())
const controller = createControllerClient({ baseUrl: stack.controllerUrl, actor: 'e2e' })
const photos = await readPhotos('models/food11/samples')
const REASON = { force: true, reason: 'no gates in this test' }

const settled = (name: EnvironmentName, version: string) =>
  until(`version ${version} in ${name}`, 90_000, async () => {
    const view = await controller.environment(name).catch(() => undefined) // its process may just be starting again
    return view?.deploying === null && view.current?.version === version && view.health === 'healthy' && view
  })

const load = startSteadyLoad({ url: stack.publicUrl, photos, requestsPerSecond: 10, users: 0 })

t.test('what weir up begins with stands in production and canary', { timeout: 200_000 }, async t => {
  t.match(await settled('production', '1'), { current: { good: true }, url: stack.publicUrl })
  const canary = await settled('canary', '2')
  t.match(await (await fetch(`${canary.url}/version`)).json(), { model_version: '2' })
  const { url } = await controller.environment('staging')
  t.match(await fetch(`${url}/version`), { status: 503 }, 'nothing runs in staging yet')
})

t.test('a version is replaced in staging, and its testers see no failure', { timeout: 200_000 }, async t => {
  await controller.promoteVersion('staging', { from: 'development', version: '1' })
  const staging = await settled('staging', '1')
  const testers = startSteadyLoad({ url: staging.url, photos, requestsPerSecond: 5, users: 0 })
  await t.rejects(controller.promoteVersion('canary', { from: 'staging', version: '1' }), {
    code: 'gates_not_passed',
  })
  await controller.promoteVersion('staging', { from: 'development', version: '2' })
  await settled('staging', '2')
  const tested = await testers.stop()
  t.equal(tested.failed, 0, tested.firstFailure ?? `of ${tested.sent}`)
})

t.test(
  'a controller that is killed in the middle of a promotion goes on where it was',
  { timeout: 200_000 },
  async t => {
    await controller.promoteVersion('production', { from: 'staging', version: '2', ...REASON })
    const [pid = 0] = await processesOf(stack.pid, 'controller/main.ts')
    process.kill(pid, 'SIGKILL')
    const { history } = await settled('production', '2')
    t.equal(history.filter(({ version }) => version === '2').length, 1, 'promoted once')
    t.match(await (await fetch(`${stack.publicUrl}/version`)).json(), { model_version: '2' })
  },
)

t.test('one command goes back to what was good', { timeout: 200_000 }, async t => {
  await controller.rollbackEnvironment('production', { reason: 'users complain' })
  t.match(await settled('production', '1'), {
    history: [{ how: 'rollback' }, { version: '2', failure: 'users complain' }, {}],
  })
})

t.test(
  'through all of it, every user got an answer, and the audit tells each step',
  { timeout: 200_000 },
  async t => {
    const result = await load.stop()
    t.equal(result.failed, 0, result.firstFailure ?? `of ${result.sent}`)
    t.ok(result.sent > 50)
    const actions = (await controller.audit({ subject: 'environment/production' })).map(
      ({ action }) => action,
    )
    for (const action of [
      'follow',
      'promote-forced',
      'switching',
      'aliasing',
      'deployed',
      'rollback',
      'policy-applied',
    ])
      t.ok(actions.includes(action), action)
  },
)
