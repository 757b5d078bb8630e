import { spawn } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { t } from 'tap'
import { colourManifest, writeModelFolder } from './model-folder.ts'
import { plain, RED } from './photos.ts'
import { startProcess as start } from './start-process.ts'
import { ask, postBytes } from './start-server.ts'

t.test('SIGTERM under load answers what was taken and exits 0', async t => {
  const model = await writeModelFolder(t.testdir())
  const { child, line, exited } = start(t, ['--model', model, '--port', '0', '--workers', '2'])
  const { address: url = '' } = await line('listening')
  await line('ready')
  const photo = await plain(RED).jpeg().toBuffer()
  const statuses: number[] = []
  let ended = false
  const load = Array.from({ length: 8 }, async () => {
    while (!ended) {
      const status = await postBytes(`${url}/predict`, photo, 'image/jpeg').then(
        answer => answer.status,
        () => undefined,
      )
      if (status === undefined) return // the port is closed
      statuses.push(status)
      if (statuses.length === 40) child.kill('SIGTERM')
    }
  })
  t.strictSame(await exited, [0, null])
  ended = true
  await Promise.all(load)
  t.ok(statuses.length >= 40)
  t.ok(statuses.every(status => status === 200 || status === 503))
})

t.test('a refused model stays up, says why in the log, and stops cleanly', async t => {
  const { child, line, exited } = start(t, ['--model', `${t.testdir()}/nothing`, '--port', '0'])
  const { address: url = '' } = await line('listening')
  t.match(await line('not ready, and never will be'), { msg: /there is no nothing to serve/ })
  t.match(await ask(`${url}/readyz`), { status: 503, body: { error: { code: 'model_refused' } } })
  child.kill('SIGTERM')
  t.strictSame(await exited, [0, null])
})

t.test('SIGTERM while the model is loading exits 0', async t => {
  const model = await writeModelFolder(t.testdir())
  const { child, line, exited } = start(t, ['--model', model, '--port', '0', '--workers', '2'])
  await line('listening')
  child.kill('SIGTERM')
  t.strictSame(await exited, [0, null])
})

t.test('what cannot work is said in one sentence, with exit code 1', async t => {
  const blocker = createServer().listen(0, '127.0.0.1')
  await once(blocker, 'listening')
  t.teardown(() => blocker.close())
  const { port } = blocker.address() as AddressInfo
  const cases: readonly (readonly [string[], RegExp, Record<string, string>?])[] = [
    [['--model', 'x', '--port', String(port)], new RegExp(`port ${port} .*taken`)],
    [['--model', 'x', '--prot', '1'], /--prot/],
    [['--model', 'x', '--samples', '/nowhere'], /samples\.json cannot be found.*\/nowhere/],
    [[], /--model is required|--model: is required/],
    [['--model', 'x'], /WEIR_SATTE/, { WEIR_SATTE: 'x' }],
  ]
  for (const [args, reason, env] of cases) {
    const { exited, stderr } = start(t, args, env && { env })
    t.strictSame(await exited, [1, null])
    t.match(stderr(), reason)
    t.notMatch(stderr(), /\n {4}at /)
  }
})

t.test('it ends when its owner is gone', async t => {
  const owner = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'])
  t.teardown(() => owner.kill('SIGKILL'))
  const args = ['--model', `${t.testdir()}/nothing`, '--port', '0', '--owner-pid', String(owner.pid)]
  const { line, exited } = start(t, args)
  await line('listening')
  owner.kill('SIGKILL')
  t.strictSame(await exited, [0, null])
})

t.test('a version may carry a drill in its manifest, and says so', async t => {
  const drill = { failRate: 1, statusCode: 503 }
  const model = await writeModelFolder(t.testdir(), { manifest: colourManifest({ drill }) })
  const { line } = start(t, ['--model', model, '--port', '0', '--workers', '1'])
  const { address: url = '' } = await line('listening')
  await line('a drill is on')
  await line('ready')
  t.match(await ask(`${url}/version`), { status: 200, body: { drill } })
  const photo = await plain(RED).jpeg().toBuffer()
  t.match(await postBytes(`${url}/predict`, photo, 'image/jpeg'), {
    status: 503,
    body: { error: { code: 'drill' } },
  })
})
