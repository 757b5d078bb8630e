// Requests that are nearly right. None may crash the server, get a 5xx, make it write a file, reach for the network, or leave
// memory behind. MUTATIONS=100000 sends that many.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { t } from 'tap'
import { findProgram } from '../helpers/programs.ts'
import { writeModelFolder } from './model-folder.ts'
import { exchange, mutatedRequest, randomFrom, requestSeeds } from './mutations.ts'
import { plain, RED } from './photos.ts'
import { LEAN, startProcess } from './start-process.ts'
import { ask, postBytes } from './start-server.ts'
import { reachingOut, straceInto } from './system-calls.ts'

const REQUESTS = Number(process.env['MUTATIONS'] ?? 1500)
const CONNECTIONS = 8
const WARM_UP = 500
/** Lax for a short run, in which heaps and allocators have not filled up yet. */
const GROWTH_LIMIT_MIB = 96
/** Of the second half over the first. */
const SECOND_HALF_LIMIT_MIB = 64

t.test('mutated requests get a 200 or a 4xx, and do nothing else', async t => {
  const folder = t.testdir()
  const model = await writeModelFolder(folder)
  const trace = join(folder, 'strace.log')
  const strace = findProgram('strace')
  const under = 'path' in strace ? straceInto(trace) : []
  const args = ['--model', model, '--port', '0', '--workers', '2']
  const { line, exited } = startProcess(t, args, { ...LEAN, under })
  const { address: url = '', pid = '' } = await line('listening')
  await line('ready')
  const filesBefore = await readdir(folder, { recursive: true })

  const seeds = await requestSeeds()
  const random = randomFrom(7)
  const wrong: string[] = []
  let answered = 0
  async function send(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      const request = mutatedRequest(seeds, random)
      const answer = await exchange(url, request)
      const statuses = [...answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status))
      if (statuses.length > 0) answered += 1
      if (statuses.some(status => status >= 500 || status < 200))
        wrong.push(`${statuses.join()} ${request.bytes.toString('latin1', 0, 200)}`)
    }
  }
  const sendAll = (count: number) =>
    Promise.all(Array.from({ length: CONNECTIONS }, () => send(Math.ceil(count / CONNECTIONS))))
  const residentMiB = async () =>
    Number(/^process_resident_memory_bytes (\d+)/m.exec((await ask(`${url}/metrics`)).body)?.[1]) / 2 ** 20

  await sendAll(WARM_UP)
  const begun = Date.now()
  const before = await residentMiB()
  await sendAll(REQUESTS / 2)
  const half = await residentMiB()
  await sendAll(REQUESTS / 2)
  const after = await residentMiB()
  const done = Date.now()
  t.comment(
    `${REQUESTS} in ${done - begun} ms; ${before.toFixed(0)} MiB before, ${half.toFixed(0)} after half, ${after.toFixed(0)} at the end`,
  )

  t.strictSame(wrong, [])
  t.ok(answered > REQUESTS * 0.8, `${answered} had an answer; the others never arrived whole`)
  t.ok(after < before + GROWTH_LIMIT_MIB, `${before} MiB before, ${after} at the end`)
  t.ok(after < half + SECOND_HALF_LIMIT_MIB, `${half} MiB after half, ${after} at the end`)
  t.strictSame(await readdir(folder, { recursive: true }), filesBefore)
  t.equal(
    (await postBytes(`${url}/predict`, await plain(RED).jpeg().toBuffer(), 'image/jpeg')).body.label,
    'Red',
  )
  process.kill(Number(pid), 'SIGTERM')
  t.strictSame(await exited, [0, null])
  if ('skip' in strace) return t.comment(`files and network not watched: ${strace.skip}`)
  const atStart = await reachingOut(trace, 0, begun)
  t.ok(
    atStart.some(call => call.includes('bind(')),
    'that it listens is seen',
  )
  // ONNX Runtime would write about itself and upload it
  t.strictSame(
    atStart.filter(call => !/execve\(|mkdir\(|socket\(|bind\(|node_modules\/\.cache/.test(call)),
    [],
  )
  t.strictSame(await reachingOut(trace, begun, done), [])
})
