import t from 'tap'
import { freePort } from '../../lib/ports.ts'
import { startReceiver } from '../controller/receiver.ts'
import { processesOf } from '../helpers/processes.ts'
import { until } from '../helpers/until.ts'
import { rolloutOf, startRollouts } from './rollouts.ts'

// A webhook as a step, on real processes: the controller is killed while it waits for the answer.

t.test(
  'a controller that is killed during a hook step asks again under the same id, and goes on',
  async t => {
    // away from where other stacks look for ports: a killed controller's must be free when it comes back
    const port = await freePort('127.0.0.1', 24_180)
    const operator = await freePort('127.0.0.1', port + 1)
    const ports = { public: port, operator, controller: await freePort('127.0.0.1', operator + 1) }
    const stack = await startRollouts(t, { ports })
    const receiver = await startReceiver(t)
    receiver.plan.push('none')
    const load = stack.load(30)
    const hook = { url: `${receiver.url}/warm-up`, timeout: '60s' }
    const canary = { steps: [{ setWeight: 10 }, { hook }, { setWeight: 50 }] }
    const { name } = await stack.controller.startRollout(rolloutOf('2', { strategy: { canary } }))
    await until('the question', 60_000, async () => receiver.got.length === 1)
    t.match((await stack.policy()).weights, { stable: 90, candidate: 10 }, 'what comes before it is in force')
    const [pid] = await processesOf(stack.pid, 'controller/main.ts')
    t.ok(pid !== undefined && process.kill(pid, 'SIGKILL'))
    await until('the question again', 60_000, async () => receiver.got.length === 2)
    const result = await until('its end', 60_000, async () => {
      const rollout = await stack.controller.rollout(name).catch(() => undefined)
      return rollout !== undefined && rollout.endedAt !== null && rollout
    })
    t.match(result, { phase: 'Promoted' }, result.message)
    t.equal(receiver.got.length, 2)
    t.equal(receiver.got[0]?.id, receiver.got[1]?.id)
    const sent = await load.stop()
    t.equal(sent.failed, 0, sent.firstFailure ?? `of ${sent.sent}`)
  },
)
