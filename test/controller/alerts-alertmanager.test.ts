import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { freePort } from '../../lib/ports.ts'
import { findProgram } from '../helpers/programs.ts'
import { until } from '../helpers/until.ts'
import { deliverAll, raise, resolve, startReceivers, T0 } from './alerting.ts'
import { startControl, startWorld } from './control.ts'
import { startReceiver } from './receiver.ts'

t.test('Alertmanager is reminded of what stands, the others are not', async t => {
  const { slack, alertmanager, yaml } = await startReceivers(t)
  const world = await startWorld(t)
  const control = await startControl(t, world, undefined, yaml)
  raise(control)
  await deliverAll(control)
  for (let minute = 0; minute < 60; minute++) {
    world.clock.forward(60_000)
    control.alerts.remind()
    await control.deliver()
  }
  t.equal(slack.got.length, 1)
  t.equal(alertmanager.got.length, 13, 'each five minutes')
  t.match(alertmanager.got.at(-1)?.body, [{ startsAt: T0, endsAt: '2025-06-15T17:05:40.000Z' }])
  resolve(control)
  world.clock.forward(600_000)
  control.alerts.remind()
  await deliverAll(control)
  t.equal(alertmanager.got.length, 14, 'nothing after it was resolved')
})

const program = findProgram('prometheus-alertmanager')

t.test(
  'a real Alertmanager notifies once of an alert and once of its end',
  { skip: 'skip' in program && program.skip },
  async t => {
    if ('skip' in program) return
    const behind = await startReceiver(t)
    const url = await startAlertmanager(t, program.path, behind.url)
    const world = await startWorld(t)
    world.clock.forward(Date.now() - world.clock.now())
    const yaml = `receivers: [{ name: am, alertmanager: { url: "${url}" } }]`
    const control = await startControl(t, world, undefined, yaml)
    raise(control)
    await deliverAll(control)
    const active = await (await fetch(`${url}/api/v2/alerts`)).json()
    t.match(active, [
      { labels: { alertname: 'WeirStableFailing', route: 'food11' }, status: { state: 'active' } },
    ])
    await until('the notification', 20_000, async () => behind.got.length > 0)
    world.clock.forward(400_000)
    control.alerts.remind()
    await deliverAll(control)

    world.clock.forward(Date.now() - world.clock.now())
    resolve(control)
    await deliverAll(control)
    await until('the end', 20_000, async () => behind.got.length > 1)
    t.same(await (await fetch(`${url}/api/v2/alerts`)).json(), [])
    t.match(
      behind.got.map(({ body }) => body),
      [{ status: 'firing' }, { status: 'resolved' }],
    )
    t.equal(behind.got.length, 2)
  },
)

async function startAlertmanager(t: Test, path: string, receiverUrl: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'weir-alertmanager-'))
  const config = `route: { receiver: test, group_wait: 100ms, group_interval: 1s }
receivers: [{ name: test, webhook_configs: [{ url: "${receiverUrl}/", send_resolved: true }] }]
`
  await writeFile(join(dir, 'alertmanager.yml'), config)
  const port = await freePort('127.0.0.1', 19_093)
  const args = [
    `--config.file=${dir}/alertmanager.yml`,
    `--storage.path=${dir}/data`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--cluster.listen-address=',
  ]
  const child = spawn(path, args, { stdio: 'ignore' })
  const ended = new Promise(resolve => child.once('exit', resolve))
  t.teardown(async () => {
    child.kill('SIGTERM')
    await ended
    await rm(dir, { recursive: true, force: true })
  })
  const url = `http://127.0.0.1:${port}`
  await until('alertmanager', 30_000, async () => (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok)
  return url
}
