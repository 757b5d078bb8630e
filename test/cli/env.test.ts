import { execFile } from 'node:child_process'
import { userInfo } from 'node:os'
import t from 'tap'
import type { EnvironmentView } from '../../contract/environment.ts'
import { json, listen } from '../controller/small-gateway.ts'

// What a person is told by `weir env`.

function weir(url: string, ...args: readonly string[]) {
  return new Promise<{ code: unknown; stdout: string; stderr: string }>(resolve =>
    execFile(
      process.execPath,
      ['cli/weir.ts', 'env', ...args, '--controller', url],
      (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }),
    ),
  )
}

const AFTER: EnvironmentView = {
  name: 'production',
  route: 'food11',
  url: 'http://127.0.0.1:8080',
  model: 'food11',
  current: { version: '1', digest: 'sha256:a', revision: 5, good: true, instances: 1 },
  settings: { instances: null, memoryLimitMiB: null },
  health: 'healthy',
  message: 'version 1 runs',
  deploying: null,
  pendingReturn: null,
  warm: [],
  gates: null,
  history: [],
  version: 9,
}
const UNDER_WAY = { version: '1', revision: 5, how: 'rollback', stage: 'switching' } as const

t.test('who decides is the one who is named, and the system’s user otherwise', async t => {
  const actors: unknown[] = []
  const url = await listen(t, (request, response) => {
    request.resume()
    if (request.method === 'POST') actors.push(request.headers['x-weir-actor'])
    json(response, AFTER)
  })
  const promote = ['promote', '--from', 'canary', '--to', 'production', '--version', '1']
  t.match(await weir(url, ...promote, '--as', 'grace'), { code: 0 })
  t.match(await weir(url, 'rollback', 'production', '--as', 'ada'), { code: 0 })
  t.match(await weir(url, 'rollback', 'production'), { code: 0 })
  t.same(actors, ['grace', 'ada', userInfo().username])
})

t.test('a rollback is waited for where the controller restarts meanwhile', async t => {
  let looks = 0
  const url = await listen(t, (request, response) => {
    request.resume()
    if (request.method === 'POST') return json(response, { ...AFTER, deploying: UNDER_WAY })
    looks++
    if (looks === 1) return request.destroy()
    json(response, AFTER)
  })
  t.match(await weir(url, 'rollback', 'production'), {
    code: 0,
    stdout: 'production: food11 version 1 (version 1 runs)\n',
    stderr: '',
  })
  t.equal(looks, 2)
})
