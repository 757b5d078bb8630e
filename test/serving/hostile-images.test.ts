// A corpus of files made to break decoders. Each must get a prediction or a 4xx; the server must write nothing, reach for nothing
// outside, and answer as before afterwards.
import { join } from 'node:path'
import { t } from 'tap'
import { findProgram } from '../helpers/programs.ts'
import { hostileFiles } from './hostile-files.ts'
import { writeModelFolder } from './model-folder.ts'
import { plain, RED } from './photos.ts'
import { LEAN, startProcess } from './start-process.ts'
import { ask, postBytes } from './start-server.ts'
import { reachingOut, straceInto } from './system-calls.ts'

/** What the largest accepted images take while they are decoded. */
const GROWTH_LIMIT_MIB = 200

t.test('hostile files get a prediction or a 4xx, and nothing else happens', async t => {
  const folder = t.testdir()
  const trace = join(folder, 'strace.log')
  const strace = findProgram('strace')
  const under = 'path' in strace ? straceInto(trace) : []
  const args = ['--model', await writeModelFolder(folder), '--port', '0', '--workers', '2']
  const { line, exited } = startProcess(t, args, { ...LEAN, under })
  const { address: url = '', pid = '' } = await line('listening')
  await line('ready')
  const hostile = await hostileFiles()
  t.ok(hostile.length >= 300, `${hostile.length} files`)
  const residentMiB = async () =>
    Number(/^process_resident_memory_bytes (\d+)/m.exec((await ask(`${url}/metrics`)).body)?.[1]) / 2 ** 20

  const begun = Date.now()
  const before = await residentMiB()
  const wrong: string[] = []
  for (const { name, bytes, headers = { 'content-type': 'image/jpeg' } } of hostile) {
    const { status, body } = await ask(`${url}/predict`, {
      method: 'POST',
      headers,
      body: new Blob([Uint8Array.from(bytes)]),
    })
    const fine = status === 200 || (status >= 400 && status < 500 && typeof body.error?.code === 'string')
    if (!fine || /\/|node_modules|vips/i.test(body.error?.message ?? ''))
      wrong.push(`${name}: ${status} ${JSON.stringify(body)}`)
    if (
      status === 200 &&
      /SVG|ZIP archive$|gzip|PDF|XML|30,000 by 30,000/.test(name) &&
      !/ and a ZIP/.test(name)
    )
      wrong.push(`${name} was accepted`)
  }
  const after = await postBytes(`${url}/predict`, await plain(RED).jpeg().toBuffer(), 'image/jpeg')
  const grownMiB = (await residentMiB()) - before
  const done = Date.now()

  t.strictSame(wrong, [])
  t.equal(after.body.label, 'Red')
  t.equal((await ask(`${url}/readyz`)).status, 200)
  t.ok(grownMiB < GROWTH_LIMIT_MIB, `${grownMiB} MiB more`)
  process.kill(Number(pid), 'SIGTERM')
  t.strictSame(await exited, [0, null])
  if ('skip' in strace) return t.comment(`files and network not watched: ${strace.skip}`)
  t.not((await reachingOut(trace, 0, begun)).length, 0, 'what it does when it starts is seen')
  t.strictSame(await reachingOut(trace, begun, done), [])
})
