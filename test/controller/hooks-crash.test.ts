import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createOutbox } from '../../controller/alerts/outbox.ts'
import { readSigningSecret } from '../../controller/alerts/signature.ts'
import { openStore } from '../../controller/store.ts'
import { systemClock } from '../../lib/clock.ts'
import { until } from '../helpers/until.ts'
import { isSigned, startReceiver } from './receiver.ts'

// A real controller process, killed with SIGKILL around a delivery.

const main = new URL('../../controller/main.ts', import.meta.url).pathname

async function startController(t: Test, stateDir: string): Promise<ChildProcess> {
  const nobody = 'http://127.0.0.1:1'
  const args = [main, '--port', '0', '--state', stateDir, '--gateway', nobody]
  const child = spawn(process.execPath, args, { stdio: 'ignore' })
  t.teardown(() => kill(child))
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

async function stateFolder(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'weir-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** Commits a message as a decision does, and leaves as a crash would: nothing was sent. */
function decide(stateDir: string, url: string, key: string, fail = false): void {
  const store = openStore(stateDir)
  const outbox = createOutbox(store, systemClock)
  const target = { kind: 'url', url, timeoutMs: 5000 } as const
  try {
    store.transaction(() => {
      outbox.tell({ key, lane: 'test', target, body: { key }, keepTryingMs: 60_000 })
      if (fail) throw new Error('the decision could not be persisted')
    })
  } finally {
    store.close()
  }
}

t.test('a message that was persisted and not sent is delivered by the next controller, once', async t => {
  const dir = await stateFolder(t)
  const receiver = await startReceiver(t)
  decide(dir, receiver.url, 'withdrawn')
  t.throws(() => decide(dir, receiver.url, 'never decided', true))
  const first = await startController(t, dir)
  await until('the message', 60_000, async () => receiver.got.length > 0)
  await until('marked done', 60_000, async () => waiting(dir) === 0)
  await kill(first)
  decide(dir, receiver.url, 'promoted')
  await startController(t, dir)
  await until('the second message', 60_000, async () => receiver.got.length > 1)
  t.same(
    receiver.got.map(({ body }) => body),
    [{ key: 'withdrawn' }, { key: 'promoted' }],
  )
  const secret = await readSigningSecret(dir)
  t.ok(
    receiver.got.every(message => isSigned(message, secret)),
    'with the one secret of the state folder',
  )
})

t.test('a message that arrived before the kill and was not marked comes again under the same id', async t => {
  const dir = await stateFolder(t)
  const receiver = await startReceiver(t)
  receiver.plan.push('none')
  decide(dir, receiver.url, 'withdrawn')
  const first = await startController(t, dir)
  await until('the message', 60_000, async () => receiver.got.length > 0)
  await kill(first)
  await startController(t, dir)
  await until('the message again', 60_000, async () => receiver.got.length > 1)
  await until('marked done', 60_000, async () => waiting(dir) === 0)
  t.equal(receiver.got.length, 2)
  t.equal(receiver.got[0]?.id, receiver.got[1]?.id)
})

t.test(
  'a controller that is told to end does not wait for a receiver, nor take it for a refusal',
  async t => {
    const dir = await stateFolder(t)
    const receiver = await startReceiver(t)
    receiver.plan.push('none')
    decide(dir, receiver.url, 'withdrawn')
    const first = await startController(t, dir)
    await until('the message', 60_000, async () => receiver.got.length > 0)
    const ended = new Promise(resolve => first.once('exit', resolve))
    first.kill('SIGTERM')
    t.equal(await ended, 0)
    const store = openStore(dir)
    t.match(store.db.prepare('SELECT attempts, reason, done_at FROM outbox').get(), {
      attempts: 0,
      reason: null,
      done_at: null,
    })
    store.close()
  },
)

function waiting(stateDir: string): number {
  const store = openStore(stateDir)
  const row = store.db.prepare('SELECT count(*) AS waiting FROM outbox WHERE done_at IS NULL').get()
  store.close()
  return Number(row?.['waiting'])
}
