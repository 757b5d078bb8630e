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
    const { endpoint } = await first.runtime.deploy({ id: 'a', version })
    const again = await first.runtime.deploy({ id: 'a', version })
    t.equal(again.endpoint, endpoint, 'deploying twice is one deployment')
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
  const pids = store.db.prepare('SELECT pid FROM deployments WHERE id = ?')
  return { store, runtime, pidOf: (id: string) => Number(pids.get(id)?.['pid'] ?? 0) }
}
