import t from 'tap'
import { createControllerClient } from '../../client/controller.ts'
import { createGatewayClient } from '../../client/gateway.ts'
import { startStack } from '../../cli/demo/stack.ts'
import { readPhotos, startSteadyLoad } from '../../cli/load/steady-load.ts'
import { TERMINAL_PHASES } from '../../contract/rollout.ts'
import { freePort } from '../../lib/ports.ts'
import { processesOf } from '../helpers/processes.ts'
import { until } from '../helpers/until.ts'

// The same as in one process, with real ones and kill -9: fewer points in time, but nothing of it is simulated.

const KILLS = 4

t.test(
  'a rollout whose controller is killed again and again is promoted, and nothing is done twice',
  async t => {
    // away from where other stacks look for ports: a killed controller's must be free when it comes back
    const port = await freePort('127.0.0.1', 23_080)
    const operator = await freePort('127.0.0.1', port + 1)
    const ports = { public: port, operator, controller: await freePort('127.0.0.1', operator + 1) }
    const stack = await startStack({ ports })
    t.teardown(() => stack.stop())
    const controller = createControllerClient({ baseUrl: stack.controllerUrl, actor: 'ada' })
    const photos = await readPhotos('models/food11/samples')
    const load = startSteadyLoad({ url: stack.publicUrl, photos, requestsPerSecond: 30, users: 0 })
    const spec = {
      route: 'food11',
      modelVersion: '2',
      analysis: { interval: '500ms', settle: '1s', advance: 'time', minRequests: 20 },
      strategy: {
        canary: { steps: [10, 30, 50].flatMap(setWeight => [{ setWeight }, { pause: { duration: '2s' } }]) },
      },
    }
    const { name } = await controller.startRollout({ apiVersion: 'weir.dev/v1alpha1', kind: 'Rollout', spec })
    const now = () => controller.rollout(name).catch(() => undefined) // it is being started again
    for (let kill = 1; kill <= KILLS; kill++) {
      const [pid] = await processesOf(stack.pid, 'controller/main.ts')
      const before = await until('the rollout', 30_000, now)
      if (pid === undefined || TERMINAL_PHASES.has(before.phase)) break
      process.kill(pid, 'SIGKILL')
      await until('it to go on', 30_000, async () => {
        const after = await now()
        return after !== undefined && after.version > before.version
      })
    }
    const ended = await until('the end', 60_000, async () => {
      const rollout = await now()
      return rollout && TERMINAL_PHASES.has(rollout.phase) && rollout
    })
    t.match(ended, { phase: 'Promoted' })
    t.equal((await load.stop()).failed, 0)

    const records = (await controller.audit({ subject: name, limit: 1000 })).toReversed()
    const applied = records.filter(({ action }) => action === 'policy-applied').map(({ reason }) => reason)
    t.same(
      applied.map(reason => /candidate at (.+)$/.exec(reason)?.[1]),
      ['10 %', '30 %', '50 %', 'stable, all traffic'],
      'each policy once',
    )
    for (const action of ['start', 'promote', 'promoted'])
      t.equal(records.filter(record => record.action === action).length, 1, action)
    t.same((await controller.verifyAudit()).firstBad, null)
    const { version } = await createGatewayClient({ baseUrl: stack.operatorUrl }).route('food11')
    t.equal(version, 1 + applied.length, 'nobody wrote another')
  },
)
