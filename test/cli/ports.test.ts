import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { choosePorts } from '../../cli/up/ports.ts'
import { freePort } from '../../lib/ports.ts'

const HOST = '127.0.0.1'

const NEEDED = 12

/** A free port with free ones after it, below those that the system gives to connections meanwhile. */
async function base(): Promise<number> {
  let first = 32_000 + (process.pid % 30) * 20
  for (let port = first; port < first + NEEDED;) {
    const free = await freePort(HOST, port)
    if (free > port) first = free
    port = free + 1
  }
  return first
}

async function take(t: Test, port: number): Promise<void> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(port, HOST, resolve))
  t.teardown(() => server.close())
}

function optionsAt(port: number, more: object = {}) {
  const [operatorPort, controllerPort] = [String(port + 1), String(port + 10)]
  return { host: HOST, port: String(port), operatorPort, controllerPort, ...more }
}

t.test('staging and canary take the ports after the public one and the operator’s', async t => {
  const port = await base()
  t.same(await choosePorts(optionsAt(port)), {
    public: port,
    operator: port + 1,
    controller: port + 10,
    staging: port + 2,
    canary: port + 3,
  })
})

t.test('what is taken is passed over where nobody named it, and refused where somebody did', async t => {
  const port = await base()
  await take(t, port + 2)
  t.match(await choosePorts(optionsAt(port, { controllerPort: String(port + 3) })), {
    staging: port + 4,
    canary: port + 5,
  })
  t.match(await choosePorts(optionsAt(port, { stagingPort: '0', canaryPort: String(port + 7) })), {
    staging: port + 3,
    canary: port + 7,
  })
  await t.rejects(choosePorts(optionsAt(port, { stagingPort: String(port + 2) })), { code: 'EADDRINUSE' })
})

t.test('a port that is named twice, or is none, is refused', async t => {
  const port = await base()
  await t.rejects(choosePorts(optionsAt(port, { canaryPort: String(port) })), { code: 'invalid_setting' })
  await t.rejects(choosePorts(optionsAt(port, { stagingPort: 'many' })), {
    code: 'invalid_setting',
    message: /"many"/,
  })
})
