import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { pass, rolloutOf, startControl, startWorld } from './control.ts'
import { startReceiver } from './receiver.ts'

const weir = new URL('../../cli/weir.ts', import.meta.url).pathname
const steps = [{ setWeight: 10 }, { ramp: { riskBudget: '1pp', to: 95 } }]

t.test('a rollout says how long it will take as soon as it has seen five seconds of traffic', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const { name } = await control.client.startRollout(rolloutOf({ strategy: { canary: { steps } } }))
  await pass(world, control, { name, seconds: 3, requestsPerSecond: 20 })
  t.match(await control.client.rollout(name), { expectation: null, outlook: null, warnings: [] })
  await pass(world, control, { name, seconds: 4, requestsPerSecond: 20 })
  const { expectation } = await control.client.rollout(name)
  t.match(expectation, { requestsPerSecond: 20 })
  const [expected, ...others] = await recorded('expect')
  t.match(expected?.reason, /^about 2 min( \d\d s)? at 20 requests per second/)
  t.same(others, [])

  const startedAt = world.clock.now()
  while ((await control.client.rollout(name)).phase !== 'Promoted')
    await pass(world, control, { name, seconds: 1, requestsPerSecond: 20 })
  const took = (world.clock.now() - startedAt) / 1000
  const foretold = expectation?.seconds ?? 0
  t.ok(Math.abs(took / foretold - 1) < 0.3, `${foretold.toFixed(0)} s foretold, ${took} s taken`)
  t.equal((await recorded('expect')).length, 1)
  t.same(await recorded('warn'), [])

  async function recorded(action: string) {
    return (await control.client.audit({ subject: name })).filter(record => record.action === action)
  }
})

t.test(
  'weir rollout explain says how many requests are needed, for what, and how long that takes',
  async t => {
    const world = await startWorld(t)
    const control = await startControl(t, world)
    const { name } = await control.client.startRollout(rolloutOf({ strategy: { canary: { steps } } }))
    await pass(world, control, { name, seconds: 20, requestsPerSecond: 20 })
    const { outlook, decision } = await control.client.rollout(name)
    const soFar = decision?.exposure.candidate ?? 0
    const more = outlook?.next?.candidateRequests ?? 0
    t.ok(soFar > 20 && more > 10)
    const args = ['rollout', 'explain', name, '--controller', control.url]
    const { stdout } = await promisify(execFile)(process.execPath, [weir, ...args])
    const lines = stdout.trim().split('\n')
    const counted = `holding at 10 %: ${soFar} of about ${soFar + more} candidate requests needed to rule out 4 percentage points of excess, for 25 %; at 20 rps that is ${Math.round(more / 2)} s`
    t.equal(lines[0], counted)
    t.match(
      lines[2],
      /^about .* until it is promoted.*; the deadline is in 1 h 59 min, then it is rolled back$/,
    )
    t.match(lines[3], /^evidence of harm is .* of the 100 that withdraw it/)
  },
)

t.test(
  'a budget that this traffic cannot meet before the deadline is warned of at once, and once',
  async t => {
    const world = await startWorld(t)
    const control = await startControl(t, world)
    const tight = {
      strategy: { canary: { steps: [{ setWeight: 1 }, { ramp: { riskBudget: '0.05pp', to: 95 } }] } },
      onDeadline: { after: '10m' },
    }
    const { name } = await control.client.startRollout(rolloutOf(tight))
    await pass(world, control, { name, seconds: 7, requestsPerSecond: 100 })
    const { warnings, weight } = await control.client.rollout(name)
    t.equal(weight, 1)
    t.match(warnings, [
      { name: 'budget-out-of-reach', message: /at 100 requests per second .* deadline is in/ },
    ])
    await pass(world, control, { name, seconds: 20, requestsPerSecond: 100 })
    const told = await control.client.audit({ subject: name })
    t.equal(told.filter(({ action }) => action === 'warn').length, 1)
    const { sentences } = await control.client.explain(name)
    t.match(sentences.at(-1), /^warning \(budget-out-of-reach\)/)
    const [later] = (await control.client.rollout(name)).warnings
    t.not(later?.message, warnings[0]?.message, 'the time left is that of now')

    await pass(world, control, { name, seconds: 61, requestsPerSecond: 20_000 })
    t.same((await control.client.rollout(name)).warnings, [], 'more traffic ends the warning')
  },
)

t.test('a deadline without any evidence is foretold as the pause that it will be', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const { name } = await control.client.startRollout(rolloutOf())
  await pass(world, control, { name, seconds: 7, requestsPerSecond: 0 })
  t.match(
    (await control.client.explain(name)).sentences.join('\n'),
    /the deadline is in .*, then it is paused/,
  )
})

t.test('what a person is waited for is said with the verb that goes on', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const asking = { strategy: { canary: { steps: [{ setWeight: 10 }, { approval: {} }] } } }
  const { name } = await control.client.startRollout(rolloutOf(asking))
  await pass(world, control, { name, seconds: 10, requestsPerSecond: 20 })
  const { sentences } = await control.client.explain(name)
  t.match(sentences[0], `waiting for an approval: weir rollout approve ${name} goes on`)
  await control.client.act(name, 'abort', { reason: 'users complain' })
  t.match(
    (await control.client.explain(name)).sentences[0],
    /aborted by ada: users complain: waiting until every gateway worker/,
  )
  await pass(world, control, { name, seconds: 2, requestsPerSecond: 20 })
  t.match((await control.client.explain(name)).sentences[0], /^Aborted: aborted by ada: users complain$/)
})

t.test('a controller that was replaced goes on explaining from what it stored', async t => {
  const world = await startWorld(t)
  const first = await startControl(t, world)
  const { name } = await first.client.startRollout(rolloutOf({ strategy: { canary: { steps } } }))
  await pass(world, first, { name, seconds: 12, requestsPerSecond: 20 })
  const before = await first.client.explain(name)
  await first.stop()
  const second = await startControl(t, world)
  t.same(await second.client.explain(name), before)
})

// The traffic meter once began with nothing after a restart, so that for five seconds the old estimate stood.
t.test('a controller that was replaced knows the traffic of late at its first look', async t => {
  const world = await startWorld(t)
  const first = await startControl(t, world)
  const { name } = await first.client.startRollout(rolloutOf({ strategy: { canary: { steps } } }))
  await pass(world, first, { name, seconds: 20, requestsPerSecond: 20 })
  const before = (await first.client.rollout(name)).outlook
  await first.stop()
  const second = await startControl(t, world)
  await pass(world, second, { name, seconds: 1, requestsPerSecond: 20 })
  const after = (await second.client.rollout(name)).outlook
  t.equal(after?.requestsPerSecond, 20)
  t.ok((after?.seconds ?? Infinity) < (before?.seconds ?? 0), 'a second less')
})

t.test('the deadline counts from the yes to a rollout that waited for its confirmation', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const receiver = await startReceiver(t)
  receiver.usually = 403
  const { name } = await control.client.startRollout(
    rolloutOf({
      strategy: { canary: { steps } },
      onDeadline: { after: '10m' },
      analysis: {
        interval: '1s',
        settle: '2s',
        webhooks: [{ name: 'board', type: 'confirm-rollout', url: receiver.url }],
      },
    }),
  )
  await control.tick(name)
  await control.deliver()
  world.clock.forward(1_800_000)
  receiver.usually = 200
  await control.tick(name)
  await control.deliver()
  await pass(world, control, { name, seconds: 10, requestsPerSecond: 20 })
  t.match(await control.client.rollout(name), { weight: 10, warnings: [] }, 'time enough')
  t.match((await control.client.explain(name)).sentences.join(), /the deadline is in 9 min/)
})

t.test(
  'the time foretold at the start counts a hook and a pause, and says that a person is not counted',
  async t => {
    const world = await startWorld(t)
    const control = await startControl(t, world)
    const receiver = await startReceiver(t)
    const seconds = async (more: readonly object[]) => {
      const { name } = await control.client.startRollout(
        rolloutOf({ strategy: { canary: { steps: [...steps, ...more] } } }),
      )
      await pass(world, control, { name, seconds: 7, requestsPerSecond: 80 })
      const { expectation } = await control.client.rollout(name)
      const told = await control.client.audit({ subject: name })
      const { sentences } = await control.client.explain(name)
      await control.client.act(name, 'abort')
      await pass(world, control, { name, seconds: 2, requestsPerSecond: 80 })
      return {
        seconds: expectation?.seconds ?? 0,
        expect: told.find(({ action }) => action === 'expect')?.reason,
        ahead: sentences.find(sentence => sentence.startsWith('about')),
      }
    }
    const plain = await seconds([])
    t.notMatch(plain.expect, /not counting/)
    const longer = await seconds([
      { hook: { url: receiver.url, timeout: '30s' } },
      { approval: {} },
      { pause: { duration: '1m' } },
    ])
    t.ok(Math.abs(longer.seconds - plain.seconds - 90) < 3, `${plain.seconds} s, then ${longer.seconds} s`)
    t.match(longer.expect, /as good as stable, not counting what it takes a person to answer$/)
    t.match(
      longer.ahead,
      /until it is promoted, .* not counting what it takes a person to answer; the deadline/,
    )
  },
)
