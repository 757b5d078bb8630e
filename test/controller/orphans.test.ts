import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Registry } from '../../controller/registry/registry.ts'
import { isAlive } from '../../lib/shutdown.ts'
import { processesOf } from '../helpers/processes.ts'
import { until } from '../helpers/until.ts'
import { createRuntimeWorld } from './runtime-world.ts'

// A controller that is killed at the moment when it has started a model server once left one behind that its next life knew
// nothing of, and whose port that found taken. And pids are used again: what has a recorded one may be another model server.

const DYING = fileURLToPath(new URL('dying-runtime.ts', import.meta.url))
const LIMIT_MS = 30_000
const where = { modelsDir: 'models', firstPort: 20_700 }

for (const moment of ['before', 'after'] as const) {
  t.test(`killed ${moment} it has written down whom it started, a controller leaves no orphan`, async t => {
    const world = createRuntimeWorld(t, where)
    const args = [
      DYING,
      world.stateDir,
      where.modelsDir,
      String(where.firstPort),
      String(process.pid),
      moment,
    ]
    const dying = spawn(process.execPath, args, { stdio: 'inherit' })
    t.same(await once(dying, 'exit'), [null, 'SIGKILL'])
    const next = world.supervised()
    t.match(next.runtime.list(), [{ id: 'a' }], 'it had begun')
    await next.ready('a')
    const port = Number(new URL(next.runtime.list()[0]?.endpoints[0] ?? '').port)
    await until('one process alone has the port', LIMIT_MS, async () => {
      const running = await processesOf(process.pid, `--port ${port} `)
      return running.length === 1 && running[0] === next.pidOf('a')
    })
    const { exits = [] } = (await next.runtime.facts('a')) ?? {}
    t.same(
      exits.filter(({ cause }) => cause !== 'unknown'),
      [],
      'nothing is held against the version',
    )
  })
}

t.test('a model server that got the pid of another is neither taken for it nor ended', async t => {
  const world = createRuntimeWorld(t, where)
  const first = world.controller()
  const version = await first.registry.get('food11', '1')
  for (const id of ['a', 'b', 'c']) await first.runtime.deploy({ id, version })
  for (const id of ['a', 'b', 'c']) await first.ready(id)
  const [a, b, c] = ['a', 'b', 'c'].map(first.pidOf)
  await first.end()
  for (const pid of [a, c]) process.kill(pid ?? 0, 'SIGKILL')
  await until('both are gone', LIMIT_MS, async () => !isAlive(a ?? 0) && !isAlive(c ?? 0))

  const second = world.controller()
  for (const id of ['a', 'c']) second.pretendPid(id, b ?? 0)
  second.runtime.stop('c')
  second.supervise()
  await until('c is stopped', LIMIT_MS, async () => (await second.runtime.status('c')).kind === 'absent')
  await until('a is started again', LIMIT_MS, async () => second.pidOf('a') !== b)
  await second.ready('a')
  t.equal(second.pidOf('b'), b)
  t.match(await second.runtime.status('b'), { kind: 'ready' })
})

// While a version was fetched its deployment could be stopped, and forgotten; its process was started after that.
t.test('a deployment that is stopped while its version is fetched leaves no orphan', async t => {
  const fetched = Promise.withResolvers<void>()
  let held = 0
  const through = (registry: Registry): Registry => ({
    ...registry,
    async fetch(...version) {
      if (held++ === 0) await fetched.promise
      return registry.fetch(...version)
    },
  })
  const { registry, runtime, ready } = createRuntimeWorld(t, { ...where, through }).supervised()
  const version = await registry.get('food11', '1')
  const deploying = runtime.deploy({ id: 'a', version })
  const [endpoint = ''] = await until('its port', LIMIT_MS, async () => runtime.list()[0]?.endpoints)
  runtime.stop('a')
  await runtime.deploy({ id: 'b', version })
  await ready('b')
  runtime.stop('b')
  // they are looked at in their order
  await until('b is stopped', LIMIT_MS, async () => (await runtime.status('b')).kind === 'absent')
  fetched.resolve()
  await deploying
  await until('a is stopped', LIMIT_MS, async () => (await runtime.status('a')).kind === 'absent')
  t.same(await processesOf(process.pid, `--port ${new URL(endpoint).port} `), [])
})
