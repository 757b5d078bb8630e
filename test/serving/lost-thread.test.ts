// An inference thread that runs out of memory takes its requests with it. They must get an error, the server must not be ready
// any more, what the other thread computes must still be answered, and the process must end with 1 for its supervisor.
import { t } from 'tap'
import { colourManifest, writeModelFolder } from './model-folder.ts'
import { plain, RED } from './photos.ts'
import { startProcess } from './start-process.ts'
import { ask, postBytes, postJson } from './start-server.ts'

/** Enough for everything but the million strings below. */
const SMALL_HEAP = { flags: ['--max-old-space-size=36'] }

t.test('a thread that dies ends the process in order', async t => {
  const model = await writeModelFolder(t.testdir())
  const { line, exited } = startProcess(t, ['--model', model, '--port', '0', '--workers', '2'], SMALL_HEAP)
  const { address: url = '' } = await line('listening')
  await line('ready')
  const photo = await plain(RED).jpeg().toBuffer()
  t.equal((await postBytes(`${url}/predict`, photo, 'image/jpeg')).status, 200)

  const data = Array.from({ length: 999_990 }, (_, index) => `text ${index}`.padEnd(12))
  const fatal = { inputs: [{ name: 'input', shape: [1], datatype: 'FP32', data }] }
  const [lost, ...others] = await Promise.all([
    postJson(`${url}/v2/models/colours/infer`, fatal),
    ...Array.from({ length: 8 }, () => postBytes(`${url}/predict`, photo, 'image/jpeg')),
  ])
  t.match(lost, { status: 503, body: { error: /inference thread of this request is lost/ } })
  for (const { status, body } of others) {
    t.ok(status === 200 || body.error.code === 'not_ready', `${status} ${JSON.stringify(body)}`)
  }
  const after = await ask(`${url}/readyz`).catch(() => undefined) // the port may be closed by now
  if (after) t.match(after, { status: 503, body: { error: { code: 'draining' } } })
  t.match(await line('ending: '), { msg: /memory/i })
  t.strictSame(await exited, [1, null])
})

t.test('a version over its memory limit ends the process in order, and says so', async t => {
  const manifest = colourManifest({ memoryLimitMiB: 64 })
  const { line, exited } = startProcess(t, [
    '--model',
    await writeModelFolder(t.testdir(), { manifest }),
    '--port',
    '0',
  ])
  t.match(await line('ending: '), { msg: /over the limit of 64 \(memoryLimitMiB in model\.json\)/ })
  t.strictSame(await exited, [1, null])
})
