import t, { type Test } from 'tap'
import { history } from '../../contract/history.ts'
import { rolloutFile } from '../../contract/rollout.ts'
import { judgeOptions, replay } from '../../controller/judge/judge.ts'
import { pass, rolloutOf, startControl, startWorld } from './control.ts'

const QUICK = {
  strategy: { canary: { steps: [{ setWeight: 20 }, { ramp: { riskBudget: '5pp', to: 95 } }] } },
}

async function started(t: Test, policy: object = {}, spec: object = QUICK) {
  const world = await startWorld(t, policy)
  const control = await startControl(t, world)
  const { name } = await control.client.startRollout(rolloutOf(spec))
  await pass(world, control, { name, seconds: 2, requestsPerSecond: 20 })
  return { world, control, name }
}

t.test('traffic that is not dealt as the weights say holds, with its reason, until it is', async t => {
  const { world, control, name } = await started(t)
  await pass(world, control, {
    name,
    seconds: 20,
    requestsPerSecond: 20,
    dealtBy: { stable: 50, candidate: 50 },
  })
  const held = await control.client.rollout(name)
  t.match(held, { phase: 'Progressing', weight: 20, message: /does not deal the traffic as the weights say/ })
  await pass(world, control, { name, seconds: 400, requestsPerSecond: 60 })
  t.equal((await control.client.rollout(name)).phase, 'Promoted')
})

t.test('where users are pinned, shares of requests need not be those of the weights', async t => {
  const { world, control, name } = await started(t, { sticky: { header: 'x-user-id' } })
  await pass(world, control, {
    name,
    seconds: 120,
    requestsPerSecond: 20,
    dealtBy: { stable: 65, candidate: 35 },
  })
  t.notMatch((await control.client.rollout(name)).message, /as the weights say/)
  t.ok((await control.client.rollout(name)).weight > 20)
})

t.test('a candidate that takes requests and ends none holds, also where the clock decides', async t => {
  const steps = [{ setWeight: 20 }, { pause: { duration: '30s' } }, { setWeight: 50 }]
  const spec = {
    strategy: { canary: { steps } },
    analysis: { interval: '1s', settle: '2s', advance: 'time' },
  }
  const { world, control, name } = await started(t, {}, spec)
  await pass(world, control, { name, seconds: 10, requestsPerSecond: 20 })
  await pass(world, control, { name, seconds: 60, requestsPerSecond: 20, hanging: 'candidate' })
  t.match(await control.client.rollout(name), {
    phase: 'Paused',
    weight: 20,
    message: /requests given to the candidate did not end within 2 s/,
  })
  await pass(world, control, { name, seconds: 70, requestsPerSecond: 20 })
  t.not((await control.client.rollout(name)).weight, 20, 'and goes on when they end again')
})

t.test('a recorded rollout that was held for its split gives the same decisions again', async t => {
  const { world, control, name } = await started(t)
  await pass(world, control, {
    name,
    seconds: 40,
    requestsPerSecond: 20,
    dealtBy: { stable: 65, candidate: 35 },
  })
  const { decision } = await control.client.rollout(name)
  const exported = await control.client.evidence(name)
  const recorded = history.parse(exported.history)
  const { spec } = rolloutFile.parse(exported.rollout)
  t.match(recorded.looks.at(-1), { sticky: false, series: [{ assigned: Number, completed: Number }] })
  t.same(replay(recorded, judgeOptions(spec, recorded)).at(-1), decision)
})
