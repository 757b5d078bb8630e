import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import type { Rollout } from '../../client/controller.ts'
import { processesOf } from '../helpers/processes.ts'
import { until } from '../helpers/until.ts'
import { rolloutOf, startRollouts } from './rollouts.ts'

// Rollouts where there is no stable version to go back to, on real processes: it hangs, or there never was one.

const stack = await startRollouts(t)
const { controller, gateway } = stack

t.test('a rollback waits while stable is out, says so, and an abort is obeyed all the same', async t => {
  let isAsked = false
  const webhook = createServer((_, response) => void response.writeHead(isAsked ? 200 : 404).end())
  await new Promise<void>(resolve => webhook.listen(0, '127.0.0.1', resolve))
  t.teardown(() => webhook.close())
  const { port } = webhook.address() as AddressInfo
  const webhooks = [{ name: 'on-call', type: 'rollback', url: `http://127.0.0.1:${port}` }]

  const load = stack.load(30)
  const strategy = { canary: { steps: [{ setWeight: 50 }, { pause: {} }] } }
  const analysis = { interval: '500ms', settle: '2s', webhooks }
  const { name } = await controller.startRollout(rolloutOf('2', { strategy, analysis }))
  const seen = (what: string, isSo: (rollout: Rollout) => boolean) =>
    until(what, 60_000, async () => {
      const rollout = await controller.rollout(name)
      return isSo(rollout) && rollout
    })
  await seen('half of the users', ({ weight, phase }) => weight === 50 && phase === 'Paused')
  const [stable = 0] = await processesOf(stack.pid, '/food11/1 ')
  process.kill(stable, 'SIGSTOP') // one that died would be started again
  t.teardown(() => process.kill(stable, 'SIGCONT'))
  await seen('the warning', ({ warnings }) => warnings.some(warning => warning.name === 'stable-is-out'))
  isAsked = true
  const holding = await seen('the withdrawal', ({ message }) => message.includes('on-call'))
  t.match(holding, {
    phase: 'Paused',
    weight: 50,
    message: 'webhook on-call asked for it; the traffic stays where it is, because stable is out',
  })
  t.match((await stack.policy()).weights, { stable: 50, candidate: 50 })

  const aborted = await controller.act(name, 'abort')
  t.match(aborted.message, /although stable is out: users are sent into its outage$/)
  t.match(await stack.ended(name), { phase: 'Aborted' })
  t.match((await stack.policy()).weights, { stable: 100, candidate: 0 })
  process.kill(stable, 'SIGCONT')
  await load.stop()
})

t.test('the first version ever is watched alone, and stays where it does well', async t => {
  const nothing = { stable: { endpoints: [] }, candidate: { endpoints: [] } }
  await gateway.patchRoute('food11', { variants: nothing, weights: { stable: 0, candidate: 0 } })
  t.equal((await fetch(`${stack.publicUrl}/version`)).status, 503, 'nobody answers yet')
  await t.rejects(controller.startRollout(rolloutOf('2', {})), { message: /has no version yet/ })

  const analysis = { interval: '500ms', settle: '2s', watch: '5s', successRate: { atLeast: 0.9 } }
  const { name } = await controller.startRollout(rolloutOf('2', { model: 'food11', analysis }))
  const watched = await until('all traffic', 60_000, async () => {
    const rollout = await controller.rollout(name)
    return rollout.weight === 100 && rollout.decision !== null && rollout
  })
  t.match(watched.decision?.reason, /no version to compare with, so only the absolute objectives apply/)
  const load = stack.load(20)
  const result = await stack.ended(name)
  t.match(result, { phase: 'Promoted', versions: { stable: { version: 'none' } } }, result.message)
  t.equal(await stack.versionOf('stable'), '2')
  const sent = await load.stop()
  t.equal(sent.failed, 0, sent.firstFailure ?? `of ${sent.sent}`)
})
