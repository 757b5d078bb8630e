import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createIdempotency } from '../../controller/idempotency.ts'
import { openStore } from '../../controller/store.ts'
import { pass, rolloutOf, startControl, startWorld, type Control } from './control.ts'

function keyedStore(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'weir-'))
  const store = openStore(dir)
  t.teardown(() => {
    store.close()
    rmSync(dir, { recursive: true, force: true })
  })
  const clock = { time: 0, now: () => clock.time, sleep: async () => {} }
  return { clock, store, once: createIdempotency(store, clock) }
}

const request = (body: unknown, key = 'k1') => ({ key, method: 'POST', path: '/v1/rollouts', body })

t.test('a request with a key is done once, also when it comes twice at the same time', async t => {
  const { once } = keyedStore(t)
  let done = 0
  const ask = (body: unknown, key?: string) => once(request(body, key), async () => () => ({ done: ++done }))
  const answers = await Promise.all([ask({ a: 1 }), ask({ a: 1 })])
  t.same(answers, [{ done: 1 }, { done: 1 }])
  t.same(await ask({ a: 1 }), { done: 1 })
  await t.rejects(ask({ a: 2 }), { code: 'conflict' })
  t.same(await ask({ a: 2 }, 'k2'), { done: 2 })
})

t.test('another request with the key of one that is still under way is refused, and not done', async t => {
  const { once } = keyedStore(t)
  const done: string[] = []
  const gate = Promise.withResolvers<void>()
  const slow = once(request({ a: 1 }), async () => {
    await gate.promise
    return () => done.push('first')
  })
  await t.rejects(
    once(request({ a: 2 }), async () => () => done.push('second')),
    { code: 'conflict', message: /used for another request/ },
  )
  gate.resolve()
  await slow
  t.same(done, ['first'])
})

t.test(
  'effect and answer are one commit: where the effect fails neither is kept, and it can be asked again',
  async t => {
    const { once, store } = keyedStore(t)
    store.db.exec('CREATE TABLE effects (n INTEGER)')
    const effect = () => {
      store.transaction(() => store.db.exec('INSERT INTO effects VALUES (1)'))
      return { ok: true }
    }
    await t.rejects(
      once(request({}), async () => () => {
        effect()
        throw new Error('the disk is full')
      }),
      { message: 'the disk is full' },
    )
    t.same(store.db.prepare('SELECT * FROM effects').all(), [], 'its own transaction is part of the commit')
    t.same(await once(request({}), async () => effect), { ok: true })
    t.equal(store.db.prepare('SELECT * FROM effects').all().length, 1)
  },
)

t.test('a key counts for a day', async t => {
  const { once, clock } = keyedStore(t)
  let done = 0
  const ask = () => once(request({}), async () => () => ++done)
  await ask()
  clock.time += 24 * 3_600_000
  t.equal(await ask(), 1)
  clock.time += 1
  t.equal(await ask(), 2)
})

async function post({ url }: Control, path: string, headers: Record<string, string>, body?: object) {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  })
  return { status: response.status, body: await response.json() }
}

const STEPS = { strategy: { canary: { steps: [{ approval: {} }, { approval: {} }, { approval: {} }] } } }

// Before, the answer was stored after the effect: a controller that died between let a repetition skip once more.
t.test('a repeated skip-step skips once, also by a controller that was started again', async t => {
  const world = await startWorld(t)
  const first = await startControl(t, world)
  const { name } = await first.client.startRollout(rolloutOf(STEPS))
  await pass(world, first, { name, seconds: 3, requestsPerSecond: 0 })
  const skip = `/v1/rollouts/${name}/skip-step`
  const answer = await post(first, skip, { 'idempotency-key': 'once' })
  t.match(answer, { status: 200, body: { step: { index: 1 } } })
  await first.stop()
  const second = await startControl(t, world)
  t.same(await post(second, skip, { 'idempotency-key': 'once' }), answer)
  t.match(await second.client.rollout(name), { step: { index: 1 } })
  t.match(await post(second, skip, { 'idempotency-key': '' }), { status: 400 })
  t.match(await post(second, skip, { 'idempotency-key': 'x'.repeat(256) }), { status: 400 })
})

t.test('an ETag outlasts looks that change nothing but the evidence, and no step', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const steps = [{ setWeight: 10 }, { pause: { duration: '1h' } }, { approval: {} }]
  const { name, version } = await control.client.startRollout(rolloutOf({ strategy: { canary: { steps } } }))
  const traffic = { name, seconds: 5, requestsPerSecond: 40 }
  await pass(world, control, traffic)
  const seen = await control.client.rollout(name)
  t.match(seen, { weight: 10, step: { index: 1 } })
  t.ok(seen.version > version, 'each step is another place')
  await pass(world, control, traffic)
  const later = await control.client.rollout(name)
  t.notSame(later.decision, seen.decision)
  t.equal(later.version, seen.version)
  const skip = () => post(control, `/v1/rollouts/${name}/skip-step`, { 'if-match': `"${seen.version}"` })
  t.match(await skip(), { status: 200, body: { step: { index: 2 } } })
  t.match(await skip(), { status: 412 })
})

t.test('retry is guarded, gives its reason to the audit, and refuses what it does not know', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const { name } = await control.client.startRollout(rolloutOf(STEPS))
  await control.client.act(name, 'abort')
  await pass(world, control, { name, seconds: 3, requestsPerSecond: 0 })
  const { version, phase } = await control.client.rollout(name)
  t.equal(phase, 'Aborted')
  const retry = `/v1/rollouts/${name}/retry`
  t.match(await post(control, retry, { 'if-match': `"${version - 1}"` }), { status: 412 })
  t.match(await post(control, retry, {}, { raeson: 'x' }), {
    status: 400,
    body: { error: { message: /raeson/ } },
  })
  const again = await post(control, retry, { 'if-match': `"${version}"` }, { reason: 'the data was fixed' })
  t.match(again, { status: 201, body: { name: `${name}-2` } })
  t.match(await control.client.audit({ subject: `${name}-2` }), [
    { action: 'start', reason: 'the data was fixed' },
  ])
})

t.test('an unknown query parameter is refused by name', async t => {
  const control = await startControl(t, await startWorld(t))
  for (const path of ['/v1/rollouts?phse=x', '/v1/audit?limt=3', '/v1/models/food11/versions?phse=x']) {
    const response = await fetch(`${control.url}${path}`)
    t.equal(response.status, 400, path)
    t.match(await response.json(), {
      error: { code: 'bad_request', message: /unknown query parameter "(phse|limt)"/ },
    })
  }
})
