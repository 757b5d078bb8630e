// A dozen uploads of 31 MiB at the same time, each of them allowed, took the process over the memory limit of its version before
// the queue saw the first of them, and it ended.
import { once } from 'node:events'
import { request, type ClientRequest } from 'node:http'
import { t } from 'tap'
import { HELD_BODIES_BYTES } from '../../serving/bodies.ts'
import { writeModelFolder } from './model-folder.ts'
import { GREEN, plain } from './photos.ts'
import { ask, postBytes, startServer } from './start-server.ts'

const HALF = HELD_BODIES_BYTES / 2

/** Sends so much of a body that is announced longer. */
function upload(url: string, bytes: number): ClientRequest {
  const sent = request(`${url}/predict`, {
    method: 'POST',
    headers: { 'content-type': 'image/jpeg', 'content-length': HALF },
  })
  sent.on('error', () => undefined) // destroyed below
  sent.write(Buffer.alloc(bytes))
  return sent
}

/** A write ends when the kernel has the bytes, which may be long before the server reads them. */
async function untilHeld(url: string, bytes: number): Promise<void> {
  for (;;) {
    const { body } = await ask(`${url}/metrics`)
    const held = Number(/^weir_serving_held_body_bytes (\d+)$/m.exec(String(body))?.[1])
    if (held === bytes) return
    if (!(held < bytes)) throw new Error(`the server holds ${held} bytes of bodies, ${bytes} were sent`)
  }
}

t.test('bodies beyond 64 MiB in all are refused while they arrive, and taken again afterwards', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  const photo = await plain(GREEN).jpeg().toBuffer()
  const first = upload(url, HALF - 1)
  const second = upload(url, HALF - 1)
  await untilHeld(url, HELD_BODIES_BYTES - 2)
  const third = upload(url, 1000)
  const [answer] = await once(third, 'response')
  t.equal(answer.statusCode, 503)
  t.equal(answer.headers['retry-after'], '1')
  third.destroy()
  t.match(await postBytes(`${url}/predict`, photo, 'image/jpeg'), {
    status: 503,
    body: { error: { code: 'overloaded' } },
  })
  t.match((await ask(`${url}/metrics`)).body, /^weir_serving_shed_total\{reason="bodies"\} 2$/m)

  first.destroy()
  for (;;) {
    const { status, body } = await postBytes(`${url}/predict`, photo, 'image/jpeg')
    if (status === 503) continue // it has not seen yet that the client is gone
    t.match(body, { label: 'Green' })
    break
  }
  second.destroy()
})

t.test('what was answered makes place for others', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  const padded = Buffer.concat([await plain(GREEN).jpeg().toBuffer(), Buffer.alloc(HALF - 100_000)])
  for (let times = 0; times < 4; times++) {
    t.match(await postBytes(`${url}/predict`, padded, 'image/jpeg'), {
      status: 200,
      body: { label: 'Green' },
    })
  }
})
