import { dirname } from 'node:path'
import { t } from 'tap'
import { isAlive } from '../../lib/shutdown.ts'
import { createRuntimeWorld } from '../controller/runtime-world.ts'
import { until } from '../helpers/until.ts'
import { writeCustomFolder } from './custom-folder.ts'
import { startProcess } from './start-process.ts'
import { ask, postBytes } from './start-server.ts'

// `weir serve` and the runtime, with a version whose manifest names a command.

const LIMIT_MS = 20_000

const pidBehind = (url: string): Promise<number> =>
  until('an answer', LIMIT_MS, async () => {
    const { status, body } = await postBytes(`${url}/predict`, Buffer.from('x'), 'text/plain')
    return status === 200 && Number(body.pid)
  })

t.test('SIGTERM ends the command and then the process, with exit code 0', async t => {
  const { child, line, exited } = startProcess(t, [
    '--model',
    await writeCustomFolder(t.testdir()),
    '--port',
    '0',
  ])
  const { address: url = '' } = await line('listening')
  const pid = await pidBehind(url)
  child.kill('SIGTERM')
  t.strictSame(await exited, [0, null])
  t.notOk(isAlive(pid))
})

t.test('when the process is killed, the command ends too', async t => {
  const { child, line, exited } = startProcess(t, [
    '--model',
    await writeCustomFolder(t.testdir()),
    '--port',
    '0',
  ])
  const { address: url = '' } = await line('listening')
  const pid = await pidBehind(url)
  child.kill('SIGKILL')
  await exited
  await until('the command is gone', LIMIT_MS, async () => !isAlive(pid))
})

t.test('the runtime deploys it like any version', async t => {
  const folder = await writeCustomFolder(t.testdir())
  const world = createRuntimeWorld(t, { modelsDir: dirname(dirname(folder)), firstPort: 19_700 })
  const { registry, runtime, ready } = world.controller()
  const version = await registry.get('custom', '1')
  const {
    endpoints: [endpoint = ''],
  } = await runtime.deploy({ id: 'a', version })
  const status = await ready('a')
  t.equal(status.digest, version.digest)
  const pid = await pidBehind(endpoint)
  t.equal((await ask(`${endpoint}/version`)).body.model, 'custom')
  await runtime.stopAll()
  await until('the command is gone', LIMIT_MS, async () => !isAlive(pid))
})
