import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import { parseExposition } from '../../lib/exposition.ts'
import { runGateway, startGateway } from './gateway-process.ts'
import { eventually, namedUpstream, send, twoVariants, upstream } from './harness.ts'

async function request(url: string, init: RequestInit = {}) {
  const response = await fetch(url, {
    ...init,
    headers: { 'content-type': 'application/json', ...init.headers },
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    body: text.startsWith('{') ? JSON.parse(text) : text,
  }
}

const patch = (url: string, body: unknown, headers = {}) =>
  request(url, { method: 'PATCH', body: JSON.stringify(body), headers })

test('the operator API reads and writes policies with versions', async t => {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  const gateway = await startGateway(t, [twoVariants(stable, candidate)])
  const url = `${gateway.operator}/v1/routes/food11`
  const read = await request(url)
  t.match(read, { status: 200, body: { name: 'food11', weights: { candidate: 100 } } })
  t.equal(read.headers.get('etag'), '"1"')
  const weights = { stable: 100, candidate: 0 }
  t.match(await patch(url, { weights }, { 'if-match': '"1"' }), {
    status: 200,
    body: { version: 2, pending: [], policy: { weights } },
  })
  t.equal((await send(gateway.port)).text, 'stable')
  t.match(await patch(url, { timeoutMs: 5 }, { 'if-match': '"1"' }), {
    status: 412,
    body: { error: { code: 'precondition_failed', details: { version: 2 } } },
  })
  t.match(await patch(url, { wieghts: {} }), { status: 422, body: { error: { message: /"wieghts"/ } } })
  t.match(await patch(url, { weights: { stable: 80, candidate: 21 } }), {
    status: 422,
    body: { error: { code: 'invalid_weights' } },
  })
  t.match(await patch(`${gateway.operator}/v1/routes/nope`, {}), {
    status: 404,
    body: { error: { code: 'route_not_found' } },
  })
  t.match(await patch(url, {}, { 'content-type': 'text/plain' }), {
    status: 415,
    body: { error: { code: 'unsupported_media_type' } },
  })

  const other = { ...twoVariants(stable, candidate), match: { pathPrefix: '/other' } }
  const put = { method: 'PUT', body: JSON.stringify({ ...other, name: 'other' }) }
  t.match(await request(`${gateway.operator}/v1/routes/other`, put), { status: 201 })
  t.equal((await send(gateway.port, { path: '/other' })).text, 'candidate')
  t.match(await request(`${gateway.operator}/v1/routes`), {
    body: { items: [{ version: 2 }, { version: 1, policy: { name: 'other' } }] },
  })
  t.match(await fetch(`${gateway.operator}/v1/routes/other`, { method: 'DELETE' }), { status: 200 })
  t.equal((await send(gateway.port, { path: '/other' })).text, 'stable')

  t.match(await gateway.client.status('food11'), {
    version: 2,
    epoch: 2,
    workers: [{ worker: 'worker-0', version: 2 }],
    assigned: { stable: 2 },
  })
  t.match(await request(`${url}/comparisons`), { status: 200, body: { items: [] } })
  t.match(await request(`${gateway.operator}/docs/json`), {
    status: 200,
    body: { paths: { '/v1/routes/{name}': {} } },
  })
})

test('metrics are those of all workers, of one route on request, under a name that lasts', async t => {
  const url = await namedUpstream(t, 'stable')
  const gateway = await startGateway(
    t,
    [twoVariants(url, url), { ...twoVariants(url, url), name: 'other', match: { pathPrefix: '/other' } }],
    { workers: 2 },
  )
  await Promise.all(Array.from({ length: 30 }, () => send(gateway.port)))
  await send(gateway.port, { path: '/other' })
  const response = await fetch(`${gateway.operator}/metrics?route=food11`)
  const instance = response.headers.get('x-weir-instance') ?? ''
  const samples = parseExposition(await response.text())
  t.match(instance, /^gw-/)
  t.equal(samples.find(({ name }) => name === 'weir_requests_total')?.value, 30)
  t.equal(
    samples.find(
      ({ name, labels }) => name === 'weir_request_duration_seconds_bucket' && labels['le'] === '+Inf',
    )?.value,
    30,
  )
  t.notOk(samples.some(({ labels }) => labels['route'] === 'other'))
  t.equal(await readFile(join(gateway.stateDir, 'gateway-instance'), 'utf8'), `${instance}\n`)
})

test('SIGTERM: readiness false, what is in flight finishes, exit code 0', async t => {
  let release = () => undefined as void
  let asked = false
  const { url } = await upstream(t, (incoming, response) => {
    if (incoming.url !== '/slow') return void response.end('ok')
    asked = true
    release = () => void response.end('finished')
  })
  const gateway = await startGateway(t, [twoVariants(url, url, { timeoutMs: 20_000 })])
  const slow = send(gateway.port, { path: '/slow' })
  t.ok(await eventually(() => asked))
  gateway.child.kill('SIGTERM')
  t.ok(await eventually(async () => !(await gateway.client.readyz().catch(() => false))))
  t.ok(await eventually(async () => (await send(gateway.port)).status === 0), 'no new connections')
  release()
  t.match(await slow, { status: 200, text: 'finished' })
  t.equal(await gateway.exited, 0)
})

test('SIGTERM: a connection that has said nothing keeps nobody waiting', async t => {
  const { url } = await upstream(t, (_, response) => void response.end('ok'))
  const gateway = await startGateway(t, [twoVariants(url, url)], { args: ['--drain-seconds', '600'] })
  const silent = connect(gateway.port, '127.0.0.1')
  await once(silent, 'connect')
  t.match(await send(gateway.port), { status: 200 })
  gateway.child.kill('SIGTERM')
  t.equal(await gateway.exited, 0)
})

test('a port of its own that cannot be had is refused by name, and nothing is changed', async t => {
  const { url } = await upstream(t, (_, response) => void response.end('ok'))
  const gateway = await startGateway(t, [twoVariants(url, url)])
  for (const port of [gateway.operatorPort, Number(new URL(url).port)]) {
    const answer = await fetch(`${gateway.operator}/v1/routes/food11`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ match: { port } }),
    })
    t.equal(answer.status, 409)
    t.match(await answer.text(), `match.port: ${port} cannot be had`)
  }
  const unchanged = await fetch(`${gateway.operator}/v1/routes/food11`)
  t.equal(unchanged.headers.get('etag'), '"1"')
})

test('SIGTERM: what is in flight finishes up to a limit; then it is cut off, and the exit code is 0 all the same', async t => {
  let asked = false
  const { url } = await upstream(t, (incoming, response) => {
    if (incoming.url === '/hang') asked = true
    else response.end()
  })
  const args = ['--drain-seconds', '0.5']
  const gateway = await startGateway(t, [twoVariants(url, url, { timeoutMs: 60_000 })], { args })
  const hanging = send(gateway.port, { path: '/hang' })
  t.ok(await eventually(() => asked))
  gateway.child.kill('SIGTERM')
  t.equal(await gateway.exited, 0)
  t.match(await hanging, { status: 0 })
  t.ok(await eventually(async () => /requests in flight outlived the drain/.test(await gateway.output())))
})

test('while draining, a connection that is open is served once more and then closed', async t => {
  let release = () => undefined as void
  const { url } = await upstream(t, (incoming, response) => {
    if (incoming.url !== '/slow') return void response.end('next')
    response.write('begun ')
    release = () => void response.end('done')
  })
  const gateway = await startGateway(t, [
    twoVariants(url, url, { weights: { stable: 100, candidate: 0 }, timeoutMs: 20_000 }),
  ])
  let received = ''
  const socket = connect(gateway.port, '127.0.0.1')
  const closed = new Promise(resolve => socket.on('close', resolve))
  socket.on('data', (chunk: Buffer) => (received += chunk.toString()))
  socket.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
  t.ok(await eventually(() => received.includes('begun')))
  gateway.child.kill('SIGTERM')
  t.ok(await eventually(async () => (await send(gateway.port)).status === 0))
  release()
  socket.write('GET /x HTTP/1.1\r\nHost: a\r\n\r\n')
  await closed
  t.match(received, /^HTTP\/1\.1 200 [\s\S]*done[\s\S]*HTTP\/1\.1 200 [\s\S]*connection: close[\s\S]*next/i)
  t.equal(await gateway.exited, 0)
})

test('what cannot start says why in a sentence and exits with 1', async t => {
  const dir = t.testdir({
    'good.yaml': 'routes: []\n',
    'bad.yaml': 'routes: [{ name: a, wieghts: {} }]\n',
    'broken.yaml': 'routes: [',
  })
  const taken = createServer()
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
  t.teardown(() => taken.close())
  const port = String((taken.address() as AddressInfo).port)
  const file = (name: string) => join(dir, name)
  const cases: [string[], RegExp][] = [
    [['--config', file('good.yaml'), '--port', port], new RegExp(`port ${port} .*taken`)],
    [['--config', file('bad.yaml')], /unknown setting.*wieghts/],
    [['--config', file('broken.yaml')], /not YAML: .* at line \d+, column \d+\n$/],
    [['--config', file('none.yaml')], /none\.yaml does not exist/],
    [['--config', file('good.yaml'), '--prot', '1'], /--prot/],
    [['--config', file('good.yaml'), '--port', 'many'], /--port must be a port/],
    [[], /--config is needed/],
  ]
  for (const [index, [args, message]] of cases.entries()) {
    const gateway = runGateway(t, [...args, '--state', file('state')], file(`log-${index}`))
    t.equal(await gateway.exited, 1)
    t.ok(await eventually(async () => message.test(await gateway.output())), String(message))
    t.notMatch(await gateway.output(), /\n\s+at /)
  }
})
