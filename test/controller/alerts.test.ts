import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parseAlertsConfig, readAlertsConfig } from '../../controller/alerts/config.ts'
import { deliverAll, FAILING, raise, resolve, startReceivers, T0 } from './alerting.ts'
import { SECRET, startControl, startWorld } from './control.ts'
import { until } from '../helpers/until.ts'
import { isSigned, startReceiver } from './receiver.ts'

t.test('an alert is raised once and resolved once, at every receiver in its own words', async t => {
  const { slack, webhook, alertmanager, yaml } = await startReceivers(t)
  const world = await startWorld(t)
  const control = await startControl(t, world, undefined, yaml)
  raise(control)
  raise(control)
  await deliverAll(control)
  t.same(
    slack.got.map(({ path, body }) => ({ path, body })),
    [
      {
        path: '/services/T0/B0/secret',
        body: {
          text: '[FIRING] WeirStableFailing: 9 % of 200 requests &lt;failed&gt; &amp; more (route=food11)',
        },
      },
    ],
  )
  const [first] = control.alerts.list()
  const told = { id: first?.id, ...FAILING, startsAt: T0 }
  t.same(webhook.got[0]?.body, { ...told, status: 'firing', endsAt: null })
  t.ok(webhook.got.every(message => isSigned(message, SECRET)))
  const labels = { alertname: 'WeirStableFailing', severity: 'critical', route: 'food11' }
  t.equal(alertmanager.got[0]?.path, '/prefix/api/v2/alerts')
  t.same(alertmanager.got[0]?.body, [
    {
      labels,
      annotations: { summary: FAILING.summary },
      startsAt: T0,
      endsAt: '2025-06-15T16:06:40.000Z',
    },
  ])

  world.clock.forward(60_000)
  resolve(control)
  resolve(control)
  await deliverAll(control)
  t.match(slack.got[1]?.body, { text: /^\[RESOLVED\] WeirStableFailing: it is well again/ })
  t.match(webhook.got[1]?.body, { id: first?.id, status: 'resolved', endsAt: '2025-06-15T15:07:40.000Z' })
  t.match(alertmanager.got[1]?.body, [{ labels, startsAt: T0, endsAt: '2025-06-15T15:07:40.000Z' }])
  for (const { got } of [slack, webhook, alertmanager]) t.equal(got.length, 2)

  const answer = await fetch(`${control.url}/v1/alerts`)
  t.match(await answer.json(), {
    items: [{ id: first?.id, alert: 'WeirStableFailing', status: 'resolved', startsAt: T0 }],
  })
  const recorded = (await control.client.audit({ subject: 'food11' })).map(({ action }) => action)
  t.same(recorded, ['alert-resolved', 'alert-raised'])
})

t.test('a restart repeats nothing, and forgets nothing that was not delivered', async t => {
  const { slack, webhook, alertmanager, yaml } = await startReceivers(t)
  const world = await startWorld(t)
  const first = await startControl(t, world, undefined, yaml)
  raise(first)
  await first.stop()
  const second = await startControl(t, world, undefined, yaml)
  raise(second)
  await deliverAll(second)
  await second.stop()
  const third = await startControl(t, world, undefined, yaml)
  raise(third)
  await deliverAll(third)
  for (const { got } of [slack, webhook, alertmanager]) t.equal(got.length, 1)
})

t.test('a receiver that is down, slow or failing hears both in order; the others do not wait', async t => {
  const { slack, webhook, alertmanager, yaml } = await startReceivers(t)
  const world = await startWorld(t)
  const control = await startControl(t, world, undefined, yaml)
  await slack.down()
  webhook.plan.push(500, 429)
  alertmanager.plan.push('none')
  raise(control)
  await control.deliver()
  resolve(control)
  await control.deliver()
  t.equal(webhook.got.length, 1)
  await slack.up()
  for (let n = 0; n < 10; n++) {
    world.clock.forward(60_000)
    await control.deliver()
  }
  t.match(
    slack.got.map(({ body }) => body),
    [{ text: /FIRING/ }, { text: /RESOLVED/ }],
  )
  const statuses = webhook.got.map(({ body }) => (body as { status: string }).status)
  t.same(statuses, ['firing', 'firing', 'firing', 'resolved'])
  t.same(new Set(webhook.got.slice(0, 3).map(({ id }) => id)).size, 1, 'the same message again')
  t.equal(alertmanager.got.length, 3)
})

t.test('an alert arrives while a hundred webhooks hang', async t => {
  const { slack, yaml } = await startReceivers(t)
  const hanging = await startReceiver(t)
  hanging.plan.push(...Array.from({ length: 100 }, () => 'none' as const))
  const control = await startControl(t, await startWorld(t), undefined, yaml)
  for (let n = 0; n < 100; n++) {
    const target = { kind: 'url', url: hanging.url, timeoutMs: 60_000 } as const
    control.outbox.ask({ key: `hook-${n}`, lane: `hook/r1/${n}`, target, body: {} })
  }
  const asking = control.deliver()
  await until('webhooks that hang', 15_000, async () => hanging.got.length >= 64)
  raise(control)
  await control.deliver()
  t.equal(slack.got.length, 1)
  t.equal(hanging.got.length, 64, 'the others wait for a place')
  await hanging.down()
  await asking
})

t.test('a corrected address gets what waited; secrets of an address are not logged', async t => {
  const world = await startWorld(t)
  const yaml = (url: string) => `receivers: [{ name: team, slack: { url: "${url}" } }]`
  const first = await startControl(t, world, undefined, yaml('http://127.0.0.1:1/wrong'))
  raise(first)
  await first.deliver()
  const { reason } = first.store.db.prepare('SELECT reason FROM outbox').get() as { reason: string }
  t.match(reason, /^http:\/\/127\.0\.0\.1:1: /)
  t.notMatch(reason, 'wrong')
  await first.stop()
  const receiver = await startReceiver(t)
  const second = await startControl(t, world, undefined, yaml(receiver.url))
  world.clock.forward(60_000)
  await second.deliver()
  t.equal(receiver.got.length, 1)
})

t.test('after a day a message is given up, and the queue is bounded', async t => {
  const { slack, yaml } = await startReceivers(t)
  const world = await startWorld(t)
  const control = await startControl(t, world, undefined, yaml)
  slack.usually = 500
  raise(control)
  for (let hour = 0; hour < 26; hour++) {
    await control.deliver()
    world.clock.forward(3_600_000)
  }
  const attempts = slack.got.length
  t.ok(attempts > 10 && attempts < 27, `${attempts} attempts`)
  slack.usually = 200
  await control.deliver()
  t.equal(slack.got.length, attempts)
  control.store.transaction(() => {
    for (let n = 0; n < 1200; n++) control.alerts.tell(FAILING)
  })
  const count = control.store.db
    .prepare("SELECT count(*) AS waiting FROM outbox WHERE lane = 'receiver/team' AND done_at IS NULL")
    .get()
  t.equal(count?.['waiting'], 1000)
})

t.test('the file is checked; what is unknown or contradictory is refused by name', async t => {
  const refused = (yaml: string, message: RegExp) =>
    t.throws(() => parseAlertsConfig(yaml, 'alerts.yaml'), { code: 'invalid_setting', message })
  refused('reciever: []', /^alerts\.yaml: unknown setting "reciever"$/)
  refused(
    'receivers: [{ name: a, slack: { url: "http://h/", chanel: x } }]',
    /unknown setting "receivers\.0\.slack\.chanel"/,
  )
  refused('receivers: [{ name: a }]', /receivers\.0: must be exactly one of slack, webhook, alertmanager/)
  refused('receivers: [{ name: a, slack: { url: "ftp://h/" } }]', /receivers\.0\.slack\.url/)
  refused(
    'watch: { drift: { raiseAt: 0.1, resolveBelow: 0.2 } }',
    /watch\.drift: resolveBelow must be below raiseAt/,
  )
  refused(
    'watch: { routes: { food11: { interval: 5s } } }',
    /unknown setting "watch\.routes\.food11\.interval"/,
  )
  refused('receivers: [', /^alerts\.yaml is not YAML: .* end with a \] at line 1, column 13$/)
  t.same(parseAlertsConfig('', 'alerts.yaml'), { receivers: [] })

  const dir = await mkdtemp(join(tmpdir(), 'weir-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  t.same(await readAlertsConfig(dir), { receivers: [] }, 'no file is no receiver')
  await t.rejects(readAlertsConfig(dir, join(dir, 'other.yaml')), { code: 'ENOENT' })
  await writeFile(join(dir, 'alerts.yaml'), 'watch: { successRate: { atLeast: 0.95 } }')
  t.match(await readAlertsConfig(dir), { watch: { interval: 15_000, minSamples: 100 } })
})
