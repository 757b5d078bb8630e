import t from 'tap'
import type { Registry } from '../../controller/registry/registry.ts'
import { isAlive } from '../../lib/shutdown.ts'
import { until } from '../helpers/until.ts'
import { createRuntimeWorld } from './runtime-world.ts'

// Real model servers, started, lost, adopted and stopped.

const where = { modelsDir: 'models', firstPort: 19_400 }

t.test(
  'a deployment is ready with its digest, survives its controller, and is replaced when it dies',
  async t => {
    const world = createRuntimeWorld(t, where)
    const first = world.controller()
    const version = await first.registry.get('food11', '1')
    const { endpoints } = await first.runtime.deploy({ id: 'a', version })
    const [endpoint = ''] = endpoints
    const again = await first.runtime.deploy({ id: 'a', version })
    t.same(again.endpoints, endpoints, 'deploying twice is one deployment')
    const ready = await first.ready('a')
    t.equal(ready.digest, version.digest)
    const pid = first.pidOf('a')
    await first.end()

    const second = world.supervised()
    t.match(await second.runtime.status('a'), { kind: 'ready' })
    t.equal(second.pidOf('a'), pid, 'adopted, not started again')
    t.match(second.runtime.at(endpoint), { id: 'a', model: 'food11', version: '1', drilled: false })

    process.kill(pid, 'SIGKILL')
    await until(
      'another process',
      20_000,
      async () => second.pidOf('a') !== pid && isAlive(second.pidOf('a')),
    )
    await second.ready('a')
    const replacement = second.pidOf('a')
    second.runtime.stop('a')
    await until('stopped', 20_000, async () => (await second.runtime.status('a')).kind === 'absent')
    await until('the process is gone', 2000, async () => !isAlive(replacement)) // its parent, this test, must reap it
  },
)

t.test(
  'a deployment of several instances is ready when all are, is adopted, scaled and stopped as one',
  async t => {
    const world = createRuntimeWorld(t, where)
    const first = world.controller()
    const version = await first.registry.get('food11', '1')
    const { endpoints } = await first.runtime.deploy({ id: 'b', version, instances: 2 })
    t.equal(new Set(endpoints).size, 2)
    t.match(await first.runtime.status('b'), { kind: 'starting', reason: /^0 of 2 are ready: / })
    const ready = await first.ready('b')
    t.match(ready, { endpoints, digest: version.digest })
    await first.end()

    const second = world.supervised()
    const { runtime } = second
    const running = second.pidsOf('b')
    t.match(await runtime.status('b'), { kind: 'ready', endpoints })
    for (const endpoint of endpoints) t.match(runtime.at(endpoint), { id: 'b', endpoints })

    await runtime.scale('b', 1, 60_000)
    await runtime.scale('b', 1, 60_000)
    t.match(await runtime.status('b'), { kind: 'ready', endpoints: endpoints.slice(0, 1) })
    t.same(running.map(isAlive), [true, true], 'the other one drains')
    await runtime.scale('b', 2)
    t.match(await runtime.status('b'), { kind: 'ready', endpoints }, 'and is taken back')
    await runtime.scale('b', 1)
    await until('the one added last has ended', 20_000, async () => !isAlive(running[1] ?? 0))
    await until('it is forgotten', 5000, async () => runtime.list()[0]?.endpoints.length === 1)
    const { endpoints: again } = await runtime.deploy({ id: 'b', version, instances: 2 })
    t.equal(again[0], endpoints[0])
    await second.ready('b')
    runtime.stop('b')
    t.equal((await runtime.status('b')).kind, 'stopping')
    await until('all are gone', 20_000, async () => (await runtime.status('b')).kind === 'absent')
    await t.rejects(runtime.scale('b', 1), { code: 'conflict' })
  },
)

// A registry that did not answer once kept all others from being started again, ended and watched.
t.test('one whose version cannot be fetched at the moment keeps nobody else waiting', async t => {
  const released = Promise.withResolvers<void>()
  let holds = false
  let isHeld = false
  const through = (registry: Registry): Registry => ({
    ...registry,
    async fetch(...version) {
      const isFirst = holds && !isHeld
      isHeld ||= holds
      if (isFirst) await released.promise
      return registry.fetch(...version)
    },
  })
  const control = createRuntimeWorld(t, { ...where, through }).supervised()
  const { registry, runtime, pidOf } = control
  const version = await registry.get('food11', '1')
  for (const id of ['a', 'b']) await runtime.deploy({ id, version })
  for (const id of ['a', 'b']) await control.ready(id)
  holds = true
  process.kill(pidOf('a'), 'SIGKILL')
  await until('its version is asked for', 20_000, async () => isHeld)
  const gone = pidOf('b')
  process.kill(gone, 'SIGKILL')
  await until('another process', 20_000, async () => pidOf('b') !== gone)
  await control.ready('b')
  t.not((await runtime.status('a')).kind, 'ready')
  released.resolve()
  await control.ready('a')
})

t.test('a version that cannot be ready says why', async t => {
  const { registry, runtime } = createRuntimeWorld(t, where).controller()
  await t.rejects(registry.get('food11', '99'), { code: 'version_not_found' })
  await t.rejects(registry.get('food11', '../1'), { code: 'version_not_found' })
  await t.rejects(registry.versions('nothing'), { code: 'model_not_found' })
  t.same(await runtime.status('never'), { kind: 'absent' })
})
