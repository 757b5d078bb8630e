import t from 'tap'
import { describeRollout } from '../../cli/render/rollout.ts'
import { deliverAll, startReceivers } from './alerting.ts'
import { pass, rolloutOf, startControl, startWorld, type World } from './control.ts'
import { goal, pinned, started, three } from './experiments.ts'

const endpointsOf = (world: World, id: string) =>
  world.runtime.list().find(deployment => deployment.id === id)?.endpoints

t.test(
  'each version gets its share of users in a variant of its own, in one policy, once all are ready',
  async t => {
    const { world, name, seconds, status } = await started(t, three)
    await seconds(1, {})
    t.match(world.gateway.policy().weights, { stable: 100, candidate: 0 })
    await seconds(3, {})
    const { weights, variants } = world.gateway.policy()
    t.same(weights, { stable: 50, candidate: 30, 'arm-3': 20 })
    t.same(variants['candidate']?.endpoints, endpointsOf(world, `${name}.candidate`))
    t.same(variants['arm-3']?.endpoints, endpointsOf(world, `${name}.arm-3`))
    const { arms, step } = await status()
    t.match(step, { name: 'experiment' })
    t.match(describeRollout(await status()), /\n  arm-3, version 3, 20 %: open, nothing told/)
    t.match(arms, [
      { variant: 'stable', version: '1', standing: 'control', weight: 50 },
      { variant: 'candidate', version: '2', standing: 'open', weight: 30 },
      { variant: 'arm-3', version: '3', digest: 'sha256:three', standing: 'open', weight: 20 },
    ])
  },
)

t.test(
  "each version has as many processes as its share takes, and the winner all of stable's before its promotion",
  async t => {
    const world = await startWorld(t, pinned, { processes: 4 })
    const control = await startControl(t, world)
    const ab = { weight: 20, arms: [{ version: '3', weight: 50 }], goal }
    const { name } = await control.client.startRollout(rolloutOf({ strategy: { ab } }))
    const processes = () => {
      const { variants } = world.gateway.policy()
      return Object.entries(variants).map(([variant, { endpoints }]) => `${variant} ${endpoints.length}`)
    }
    await pass(world, control, { name, seconds: 4, requestsPerSecond: 200 })
    t.same(processes(), ['stable 4', 'candidate 1', 'arm-3 2'])
    await control.client.act(name, 'skip-step')
    await pass(world, control, { name, seconds: 8, requestsPerSecond: 200 })
    t.match(await control.client.rollout(name), {
      phase: 'Promoted',
      versions: { candidate: { version: '2' } },
    })
    t.same(processes(), ['stable 4', 'candidate 4'])
    t.same(
      world.runtime.list().map(({ id, endpoints }) => [id, endpoints.length]),
      [[`${name}.candidate`, 4]],
    )
  },
)

t.test('without weights all arms, the control too, get as many users', async t => {
  const { world, seconds } = await started(t, { arms: [{ version: '3' }], goal })
  await seconds(4, {})
  t.same(world.gateway.policy().weights, { stable: 33.34, candidate: 33.33, 'arm-3': 33.33 })
})

t.test('the version that wins becomes stable, whichever it is; the others are stopped', async t => {
  for (const winner of ['candidate', 'arm-3']) {
    const { world, control, name, seconds, status } = await started(t, three)
    await seconds(5, {})
    const endpoints = world.gateway.policy().variants[winner]?.endpoints
    await seconds(60, { stable: 0.4, candidate: 0.4, 'arm-3': 0.4, [winner]: 0.6 })
    const rollout = await status()
    t.match(rollout, {
      phase: 'Promoted',
      decision: { reason: new RegExp(`^users do better with ${winner}: `) },
    })
    const { weights, variants } = world.gateway.policy()
    t.same(weights, { stable: 100, candidate: 0 })
    t.same(Object.keys(variants), ['stable', 'candidate'])
    t.same(variants['stable']?.endpoints, endpoints)
    t.same(
      world.runtime.list().map(({ id }) => id),
      [`${name}.${winner}`],
      'losers are stopped',
    )
    const won = winner === 'candidate' ? '2' : '3'
    t.match(rollout.versions, { candidate: { version: won } })
    t.match(
      rollout.arms.find(({ variant }) => variant === winner),
      { standing: 'winner', version: won },
    )
    t.same(
      rollout.arms.map(({ weight }) => weight),
      [null, null, null],
      'shares are over',
    )
    const { sentences } = await control.client.explain(name)
    t.match(sentences.join('\n'), new RegExp(`${winner} \\(version ${won}\\) has won: \\d+ of \\d+`))
    t.ok(sentences.includes(`${winner} is proven better than stable, not better than the other arms`))
    const audit = await control.client.audit({ subject: name })
    t.match(
      audit.find(({ action }) => action === 'winner'),
      { reason: new RegExp(winner) },
    )
  }
})

t.test('an arm with which users do worse goes by itself, and the others keep their users', async t => {
  const { world, control, name, seconds, status } = await started(t, three)
  await seconds(5, {})
  const stable = world.gateway.policy().variants['stable']?.endpoints
  const third = world.gateway.policy().variants['arm-3']?.endpoints
  await seconds(60, { stable: 0.6, candidate: 0.4, 'arm-3': 0.6 })
  t.match(await status(), { phase: 'Progressing', step: { name: 'experiment' } })
  const { weights, variants } = world.gateway.policy()
  t.same(weights, { stable: 50, candidate: 30, 'arm-3': 20 }, 'nobody is dealt anew')
  t.same(variants['candidate']?.endpoints, stable, "its users are answered by stable's version")
  t.same(variants['arm-3']?.endpoints, third)
  t.same(
    world.runtime.list().map(({ id }) => id),
    [`${name}.arm-3`],
    'its process is stopped',
  )
  const { sentences } = await control.client.explain(name)
  t.match(
    sentences.join('\n'),
    /candidate \(version 2, 30 %\) is withdrawn \(feedback\), stable's version answers/,
  )
  t.match(sentences.join('\n'), /arm-3 \(version 3, 20 %\): \d+ of \d+ \(.* %\); evidence that it is better/)
  t.match(sentences.join('\n'), /each arm is compared with stable, not with the others: the first that is/)
  await t.rejects(control.client.act(name, 'promote'), {
    code: 'conflict',
    message: /candidate was withdrawn/,
  })
  await seconds(60, { stable: 0.6, candidate: 0.6, 'arm-3': 0.8 })
  t.match(await status(), { phase: 'Promoted', versions: { candidate: { version: '3' } } })
  t.same(world.gateway.policy().variants['stable']?.endpoints, third)
  t.same(Object.keys(world.gateway.policy().variants), ['stable', 'candidate'])
})

t.test('an arm that harms goes by itself, before users have told much', async t => {
  const { world, seconds, status } = await started(t, three)
  await seconds(5, {})
  await seconds(15, { stable: 0.5, candidate: 0.5, 'arm-3': 0.5 }, { 'arm-3': 0.4 })
  const { phase, arms } = await status()
  t.equal(phase, 'Progressing')
  t.match(arms[2], { standing: 'withdrawn', cause: 'failure', message: /^arm-3 does harm \(failure\)/ })
  t.same(world.gateway.policy().variants['arm-3'], world.gateway.policy().variants['stable'])
})

t.test('who is to hear of withdrawals hears of an arm that goes alone, once', async t => {
  const receivers = await startReceivers(t)
  const world = await startWorld(t, pinned)
  const control = await startControl(t, world, undefined, receivers.yaml)
  const { name } = await control.client.startRollout(rolloutOf({ strategy: { ab: three } }))
  await pass(world, control, { name, seconds: 5, requestsPerSecond: 200 })
  await pass(world, control, { name, seconds: 20, requestsPerSecond: 200, failing: { 'arm-3': 0.4 } })
  await deliverAll(control)
  const told = receivers.webhook.got.map(({ body }) => body as { alert: string; summary: string })
  t.equal(told.length, 1)
  t.match(told[0], {
    alert: 'WeirArmWithdrawn',
    summary: /^rollout food11-v2 goes on without arm-3 \(failure\): arm-3 does harm/,
  })
})

t.test(
  'an arm that the gateway has ejected for good goes by itself; until then nothing is promoted',
  async t => {
    const { world, seconds, status } = await started(t, three)
    await seconds(5, {})
    world.gateway.ejected = { variant: 'arm-3', failedTrials: 1 }
    await seconds(2, {})
    t.match(await status(), {
      phase: 'Progressing',
      message: /^arm-3 is ejected, its traffic goes to stable/,
    })
    world.gateway.ejected = { variant: 'arm-3', failedTrials: 3 }
    await seconds(2, {})
    const { phase, arms } = await status()
    t.equal(phase, 'Progressing')
    t.match(
      arms.map(({ standing }) => standing),
      ['control', 'open', 'withdrawn'],
    )
    t.match(arms[2], { cause: 'unavailable', message: 'arm-3 is ejected and failed 3 trials in a row' })
    t.same(world.gateway.policy().variants['arm-3'], world.gateway.policy().variants['stable'])
  },
)

t.test("an arm's users are not sent into stable's outage", async t => {
  const { world, seconds, status } = await started(t, three)
  await seconds(5, {})
  const policy = world.gateway.policy()
  world.gateway.ejected = { variant: 'stable', failedTrials: 0 }
  await seconds(15, { stable: 0.5, candidate: 0.5, 'arm-3': 0.5 }, { 'arm-3': 0.4 })
  t.match(await status(), { message: /its users stay where they are, because stable is out/ })
  t.same(world.gateway.policy(), policy)
  world.gateway.ejected = undefined
  await seconds(3, { stable: 0.5, candidate: 0.5, 'arm-3': 0.5 }, { 'arm-3': 0.4 })
  t.match((await status()).arms[2], { standing: 'withdrawn', cause: 'failure' })
})

t.test('when the last arm goes, everything is as it was', async t => {
  const { world, seconds, status } = await started(t, three)
  const before = world.gateway.policy()
  await seconds(90, { stable: 0.6, candidate: 0.3, 'arm-3': 0.4 })
  t.match(await status(), { phase: 'RolledBack', cause: 'feedback' })
  t.same(world.gateway.policy(), before)
  t.same(world.runtime.list(), [])
})

t.test('an abort takes back everything, wherever it comes', async t => {
  for (const after of [0, 1, 3, 8]) {
    const { world, control, name, seconds, status } = await started(t, three)
    const before = world.gateway.policy()
    await seconds(after, {})
    await control.client.act(name, 'abort')
    await seconds(3, {})
    t.match(await status(), { phase: 'Aborted' }, `after ${after} s`)
    t.same(world.gateway.policy(), before)
    t.same(world.runtime.list(), [])
  }
})

t.test('a winner that does harm while it waits for an approval is not promoted', async t => {
  const { seconds, control, name, status } = await started(t, { ...three, approval: true })
  await seconds(5, {})
  await seconds(60, { stable: 0.4, candidate: 0.4, 'arm-3': 0.7 })
  t.match(await status(), { phase: 'Paused', cause: 'approval' })
  t.match((await status()).arms[2], { standing: 'winner' })
  await seconds(10, { stable: 0.4, candidate: 0.4, 'arm-3': 0.7 }, { 'arm-3': 0.5 })
  t.match(await status(), { phase: 'RolledBack', cause: 'failure' })
  await t.rejects(control.client.act(name, 'approve'), { code: 'conflict' })
})

t.test('an operator goes on from the weights of all arms that somebody else wrote', async t => {
  const { world, control, name, seconds, status } = await started(t, three)
  await seconds(5, {})
  world.gateway.write({ weights: { stable: 60, candidate: 30, 'arm-3': 10 } })
  await seconds(2, {})
  t.match(await status(), { phase: 'Paused', cause: 'manual-change' })
  await control.client.act(name, 'resume')
  await seconds(2, {})
  t.match(world.gateway.policy().weights, { stable: 60, candidate: 30, 'arm-3': 10 })
  t.match(
    (await status()).arms.map(({ weight }) => weight),
    [60, 30, 10],
  )
})

t.test("a newer rollout's first policy takes the arms of the one that makes room", async t => {
  const { world, control, name, seconds } = await started(t, three)
  await seconds(5, {})
  const newer = await control.client.startRollout(rolloutOf({ supersede: true }))
  await pass(world, control, { name: newer.name, seconds: 1, requestsPerSecond: 200 })
  t.same(Object.keys(world.gateway.policy().variants), ['stable', 'candidate'])
  t.match(await control.client.rollout(name), { phase: 'Superseded' })
  t.notOk(world.runtime.list().some(({ id }) => id.startsWith(`${name}.`)))
})
