import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { parseExposition } from '../../lib/exposition.ts'
import { deliverAll, raise, resolve, startReceivers } from './alerting.ts'
import { startControl, startWorld, type Control } from './control.ts'
import { begin, live } from './hooked.ts'

const weir = new URL('../../cli/weir.ts', import.meta.url).pathname

async function alerts({ url }: Control, ...args: string[]): Promise<string> {
  const command = [weir, 'alerts', '--controller', url, ...args]
  return (await promisify(execFile)(process.execPath, command)).stdout
}

/** Values of one metric by its labels. */
async function read({ url }: Control, metric: string): Promise<Record<string, number>> {
  const samples = parseExposition(await (await fetch(`${url}/metrics`)).text())
  return Object.fromEntries(
    samples
      .filter(({ name }) => name === metric)
      .map(({ labels, value }) => [Object.values(labels).join(' '), value]),
  )
}

t.test('weir alerts lists what stands and what is resolved, or only what stands', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  t.equal(await alerts(control), 'there has been no alert\n')
  raise(control)
  t.match(
    await alerts(control, '--open'),
    /^STATUS .*\nfiring +WeirStableFailing +critical +food11 +2025-06-15T15:06:40\.000Z +9 % of 200/,
  )
  world.clock.forward(60_000)
  resolve(control)
  t.equal(await alerts(control, '--open'), 'no alert stands\n')
  t.match(await alerts(control), /\nresolved .*2025-06-15T15:06:40\.000Z +2025-06-15T15:07:40\.000Z/)
  t.match(JSON.parse(await alerts(control, '--json')), {
    items: [{ alert: 'WeirStableFailing', status: 'resolved', labels: { route: 'food11' } }],
  })
  t.same(JSON.parse(await alerts(control, '--json', '--open')), { items: [] })
})

t.test('alerts that stand are told to Prometheus, and no longer when they are resolved', async t => {
  const control = await startControl(t, await startWorld(t))
  t.same(await read(control, 'weir_alerts_firing'), {})
  raise(control)
  t.same(await read(control, 'weir_alerts_firing'), { 'WeirStableFailing critical food11': 1 })
  resolve(control)
  t.same(await read(control, 'weir_alerts_firing'), {})
})

t.test('deliveries are counted by receiver and by what became of them', async t => {
  const { slack, webhook, yaml } = await startReceivers(t)
  const world = await startWorld(t)
  const control = await startControl(t, world, undefined, yaml)
  slack.plan.push(500)
  await webhook.down()
  raise(control)
  await deliverAll(control)
  world.clock.forward(1000)
  await deliverAll(control)
  t.match(await read(control, 'weir_deliveries_total'), {
    'receiver team refused': 1,
    'receiver team accepted': 1,
    'receiver am accepted': 1,
    'receiver pager refused': 2,
  })
  world.clock.forward(25 * 3_600_000)
  await deliverAll(control)
  t.match(await read(control, 'weir_deliveries_total'), { 'receiver pager given_up': 1 })
})

t.test('deliveries to webhooks of rollouts are counted by their names', async t => {
  const { world, control, receiver, name } = await begin(t, url => [{ name: 'chat', type: 'event', url }], {
    strategy: { canary: { steps: [{ hook: { url: 'http://127.0.0.1:1', retries: 0 } }] } },
  })
  await live(world, control, { name, seconds: 5 })
  const counted = await read(control, 'weir_deliveries_total')
  t.match(counted, { 'webhook chat accepted': receiver.got.length, 'webhook step/1 refused': 1 })
})
