import { test } from 'tap'
import { pino } from 'pino'
import { createAccessLog } from '../../gateway/worker/access-log.ts'
import { startGateway } from './gateway-process.ts'
import { eventually, namedUpstream, send, twoVariants } from './harness.ts'

type Entry = Parameters<ReturnType<typeof createAccessLog>['write']>[1]
type Logged = Parameters<ReturnType<typeof createAccessLog>['write']>[0]

interface Line {
  readonly msg: string
  readonly request_id: string
}

function requestLines(output: string): Line[] {
  const lines = output.split('\n').filter(line => line.startsWith('{'))
  return lines.map(line => JSON.parse(line) as Line).filter(({ msg }) => msg === 'request')
}

test('the access log is off by default, on demand for one route, and off again', async t => {
  const url = await namedUpstream(t, 'stable')
  const other = { ...twoVariants(url, url), name: 'other', match: { pathPrefix: '/other' } }
  const gateway = await startGateway(t, [twoVariants(url, url), other])
  const ask = (id: string, path = '/x?user=7') =>
    send(gateway.port, { path, headers: { 'x-request-id': id } })
  await ask('before')
  await gateway.client.patchRoute('food11', { accessLog: { samplePercent: 100 } })
  await ask('logged')
  await ask('elsewhere', '/other')
  t.ok(await eventually(async () => requestLines(await gateway.output()).length === 1))
  await gateway.client.patchRoute('food11', { accessLog: null })
  await ask('after')
  gateway.child.kill('SIGTERM')
  t.equal(await gateway.exited, 0)
  const lines = requestLines(await gateway.output())
  t.same(
    lines.map(({ request_id }) => request_id),
    ['logged'],
  )
  t.match(lines[0], {
    route: 'food11',
    policy_version: 2,
    variant: 'candidate',
    method: 'GET',
    path: '/x?user=7',
    status: 200,
    ms: Number,
    client: '127.0.0.1',
  })
})

test('the access log is sampled', async t => {
  let lines = 0
  const log = pino({}, { write: () => void lines++ })
  let n = 0
  const accessLog = createAccessLog(log, () => (n++ % 100) / 100)
  const entry = {
    request: {},
    requestId: 'a',
    status: 200,
    answeredBy: 'stable',
    ms: 1,
    client: {},
  } as unknown as Entry
  const route = (samplePercent: number) =>
    ({ name: 'food11', version: 1, policy: { accessLog: { samplePercent } } }) as unknown as Logged
  for (const [percent, expected] of [
    [0, 0],
    [25, 25],
    [100, 100],
  ] as const) {
    lines = 0
    for (let request = 0; request < 100; request++) accessLog.write(route(percent), entry)
    t.equal(lines, expected, `${percent} %`)
  }
})
