import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createProcessRuntime } from '../../controller/runtime/processes.ts'
import { openStore, type Store } from '../../controller/store.ts'
import { systemClock } from '../../lib/clock.ts'
import { createLog } from '../../lib/log.ts'
import { isAlive } from '../../lib/shutdown.ts'
import { until } from '../helpers/until.ts'
import { localRegistry } from './local-registry.ts'

// Real model servers, started, lost, adopted and stopped.

const stateDir = mkdtempSync(join(tmpdir(), 'weir-'))
const registry = localRegistry('models', openStore(mkdtempSync(join(tmpdir(), 'weir-'))))

t.test(
  'a deployment is ready with its digest, survives its controller, and is replaced when it dies',
  async t => {
    const version = await registry.get('food11', '1')
    const first = runtimeOf(openStore(stateDir))
    const { endpoints } = await first.runtime.deploy({ id: 'a', version })
    const [endpoint = ''] = endpoints
    const again = await first.runtime.deploy({ id: 'a', version })
    t.same(again.endpoints, endpoints, 'deploying twice is one deployment')
    const ready = await until('ready', 20_000, async () => {
      const status = await first.runtime.status('a')
      return status.kind === 'ready' && status
    })
    t.equal(ready.digest, version.digest)
    const pid = first.pidOf('a')
    first.store.close() // the controller is gone, the model server is not

    const second = runtimeOf(openStore(stateDir))
    t.teardown(() => second.store.close())
    const stop = new AbortController()
    const supervision = second.runtime.supervise(stop.signal)
    t.match(await second.runtime.status('a'), { kind: 'ready' })
    t.equal(second.pidOf('a'), pid, 'adopted, not started again')
    t.match(second.runtime.at(endpoint), { id: 'a', model: 'food11', version: '1', drilled: false })

    process.kill(pid, 'SIGKILL')
    await until(
      'another process',
      20_000,
      async () => second.pidOf('a') !== pid && isAlive(second.pidOf('a')),
    )
    await until('ready again', 20_000, async () => (await second.runtime.status('a')).kind === 'ready')
    const replacement = second.pidOf('a')
    second.runtime.stop('a')
    await until('stopped', 20_000, async () => (await second.runtime.status('a')).kind === 'absent')
    await until('the process is gone', 2000, async () => !isAlive(replacement)) // its parent, this test, must reap it
    stop.abort()
    await supervision
  },
)

t.test(
  'a deployment of several instances is ready when all are, is adopted, scaled and stopped as one',
  async t => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-'))
    const version = await registry.get('food11', '1')
    const first = runtimeOf(openStore(folder))
    const { endpoints } = await first.runtime.deploy({ id: 'b', version, instances: 2 })
    t.equal(new Set(endpoints).size, 2)
    t.match(await first.runtime.status('b'), { kind: 'starting', reason: /^0 of 2 are ready: / })
    const ready = await until('both are ready', 40_000, async () => {
      const status = await first.runtime.status('b')
      return status.kind === 'ready' && status
    })
    t.match(ready, { endpoints, digest: version.digest })
    first.store.close() // the controller is gone, the model servers are not

    const { store, runtime } = runtimeOf(openStore(folder))
    const stop = new AbortController()
    const supervision = runtime.supervise(stop.signal)
    t.teardown(async () => {
      stop.abort()
      await supervision
      await runtime.stopAll()
      store.close()
    })
    const pids = store.db.prepare('SELECT pid FROM processes WHERE deployment = ? ORDER BY number')
    const running = pids.all('b').map(({ pid }) => Number(pid))
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
    await until('both are ready again', 20_000, async () => (await runtime.status('b')).kind === 'ready')
    runtime.stop('b')
    t.equal((await runtime.status('b')).kind, 'stopping')
    await until('all are gone', 20_000, async () => (await runtime.status('b')).kind === 'absent')
    await t.rejects(runtime.scale('b', 1), { code: 'conflict' })
  },
)

t.test('a version that cannot be ready says why', async t => {
  const { store, runtime } = runtimeOf(openStore(mkdtempSync(join(tmpdir(), 'weir-'))))
  t.teardown(async () => {
    await runtime.stopAll()
    store.close()
  })
  await t.rejects(registry.get('food11', '99'), { code: 'version_not_found' })
  await t.rejects(registry.get('food11', '../1'), { code: 'version_not_found' })
  await t.rejects(registry.versions('nothing'), { code: 'model_not_found' })
  t.same(await runtime.status('never'), { kind: 'absent' })
})

function runtimeOf(store: Store) {
  const runtime = createProcessRuntime({
    store,
    registry,
    stateDir,
    host: '127.0.0.1',
    firstPort: 19_400,
    clock: systemClock,
    log: createLog('test', 'silent'),
    ownerPid: process.pid,
  })
  const pids = store.db.prepare('SELECT pid FROM processes WHERE deployment = ? AND number = 0')
  return { store, runtime, pidOf: (id: string) => Number(pids.get(id)?.['pid'] ?? 0) }
}
