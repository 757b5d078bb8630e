import { spawn, type ChildProcess } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { t, type Test } from 'tap'
import { COMPILE_CACHE } from '../../lib/compile-cache.ts'
import { writeModelFolder } from './model-folder.ts'
import { plain, RED } from './photos.ts'
import { ask, postBytes } from './start-server.ts'

const MAIN = fileURLToPath(new URL('../../serving/main.ts', import.meta.url))

interface Running {
  readonly child: ChildProcess
  readonly exited: Promise<readonly [code: number | null, signal: NodeJS.Signals | null]>
  /** The first log line whose message begins so. */
  readonly line: (message: string) => Promise<Record<string, string>>
  readonly stderr: () => string
}

function start(t: Test, args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...COMPILE_CACHE, ...env },
  })
  t.teardown(() => child.kill('SIGKILL'))
  const seen: Record<string, string>[] = []
  const waiting: (() => void)[] = []
  createInterface({ input: child.stdout }).on('line', text => {
    seen.push(JSON.parse(text) as Record<string, string>)
    for (const wake of waiting.splice(0)) wake()
  })
  let stderr = ''
  child.stderr.on('data', chunk => (stderr += String(chunk)))
  async function line(message: string): Promise<Record<string, string>> {
    for (;;) {
      const found = seen.find(({ msg }) => msg?.startsWith(message))
      if (found) return found
      await new Promise<void>(resolve => waiting.push(resolve))
    }
  }
  return { child, line, stderr: () => stderr, exited: once(child, 'exit') as unknown as Running['exited'] }
}

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
    [[], /--model is required|--model: is required/],
    [['--model', 'x'], /WEIR_SATTE/, { WEIR_SATTE: 'x' }],
  ]
  for (const [args, reason, env] of cases) {
    const { exited, stderr } = start(t, args, env)
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
