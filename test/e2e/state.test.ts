import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { createGatewayClient } from '../../client/gateway.ts'
import { freeStackPorts, startStack } from '../../cli/demo/stack.ts'
import { processesOf } from '../helpers/processes.ts'
import { until } from '../helpers/until.ts'

t.test('what was set before a stop is in force after the next start', async t => {
  const state = await mkdtemp(join(tmpdir(), 'weir-state-'))
  t.teardown(() => rm(state, { recursive: true, force: true }))
  const ports = await freeStackPorts()
  const first = await startStack({ state, ports })
  const gateway = createGatewayClient({ baseUrl: first.operatorUrl })
  await gateway.patchRoute('food11', { weights: { stable: 70, candidate: 30 } })
  const before = await gateway.route('food11')
  await first.stop()

  const second = await startStack({ state, ports })
  t.teardown(() => second.stop())
  t.same(await gateway.route('food11'), before)
  const answer = await fetch(`${second.publicUrl}/version`, { headers: { 'x-weir-variant': 'candidate' } })
  t.match(await answer.json(), { model_version: '2' })
})

t.test('a port that is taken is said plainly, before anything is touched', async t => {
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => taken.once('listening', resolve))
  t.teardown(() => taken.close())
  const { port } = taken.address() as { port: number }
  const state = join(tmpdir(), `weir-never-made-${process.pid}`)
  const up = promisify(execFile)(process.execPath, [
    'cli/weir.ts',
    'up',
    '--port',
    String(port),
    '--state',
    state,
  ])
  const error = await up.then(
    () => t.fail('it started'),
    (failure: { code: number; stderr: string }) => failure,
  )
  t.match(error, { code: 1, stderr: `weir: port ${port} on 127.0.0.1 is taken` })
  t.notMatch(error, { stderr: / at .*:\d+/ })
  await t.rejects(rm(state), { code: 'ENOENT' })
})

t.test('a weir up that is killed leaves nothing behind, and a gateway that is killed comes back', async t => {
  const stack = await startStack()
  t.teardown(() => stack.stop())
  const [gateway = 0] = await processesOf(stack.pid, 'gateway/main.ts')
  process.kill(gateway, 'SIGKILL')
  await until('another gateway', 30_000, async () => {
    const answer = await fetch(`${stack.publicUrl}/version`).catch(() => undefined)
    return answer?.ok && (await processesOf(stack.pid, 'gateway/main.ts'))[0] !== gateway
  })
  process.kill(stack.pid, 'SIGKILL')
  await until('nothing left', 15_000, async () => (await processesOf(stack.pid, '')).length === 0)
})
