import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { createControllerClient } from '../../client/controller.ts'
import { pass, rolloutOf, startControl, startWorld } from './control.ts'

const weir = new URL('../../cli/weir.ts', import.meta.url).pathname

/** A controller that has carried a rollout for a while. */
async function busy(t: Test) {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const { name } = await control.client.startRollout(rolloutOf())
  await pass(world, control, { name, seconds: 5, requestsPerSecond: 20 })
  return { world, control, name }
}

function audit(url: string, ...args: string[]) {
  return promisify(execFile)(process.execPath, [weir, 'audit', ...args, '--controller', url]).then(
    ({ stdout }) => ({ code: 0, stdout }),
    ({ code, stdout }: { code: number; stdout: string }) => ({ code, stdout }),
  )
}

t.test('weir audit verify finds the audit of a rollout sound, and says what its last record is', async t => {
  const { control } = await busy(t)
  const { records, head, firstBad } = await control.client.verifyAudit()
  t.ok(records >= 4)
  t.equal(firstBad, null)
  const { code, stdout } = await audit(control.url, 'verify', '--head', `${head.seq}:${head.hash}`)
  t.equal(code, 0)
  t.match(stdout, `all ${records} records are as they were written; the last is ${head.seq}:${head.hash}`)
  t.equal((await audit(control.url, 'verify', '--head', `2:${'0'.repeat(64)}`)).code, 1)
  t.match((await audit(control.url)).stdout, /policy-applied/)
})

// With such a name every verb said that nothing answers, and one sent with curl was recorded as other letters.
t.test('names are recorded in any script', async t => {
  const { control, name } = await busy(t)
  for (const actor of ['Jörg', '王', 'two\nlines'])
    await createControllerClient({ baseUrl: control.url, actor }).act(name, 'pause')
  const told = await control.client.audit({ limit: 3 })
  t.same(
    told.map(record => record.actor),
    ['two lines', '王', 'Jörg'],
  )
})

t.test('weir audit --json leaves nothing of a record out', async t => {
  const { control } = await busy(t)
  const { items } = await fetch(`${control.url}/v1/audit`).then(
    answer => answer.json() as Promise<{ items: object[] }>,
  )
  t.match(
    items,
    [{ action: 'policy-applied', policyVersion: { before: Number, after: Number } }],
    'newest first',
  )
  t.same(JSON.parse((await audit(control.url, '--json')).stdout), { items })
})

t.test('nobody is recorded as the controller, nor as nobody', async t => {
  const { control, name } = await busy(t)
  for (const actor of ['controller', ' ']) {
    const verb = `${control.url}/v1/rollouts/${name}/pause`
    t.equal((await fetch(verb, { method: 'POST', headers: { 'x-weir-actor': actor } })).status, 200)
  }
  const [second, first] = await control.client.audit()
  t.match([first?.actor, second?.actor], ['operator "controller"', 'operator'])
})

t.test('a reason makes no line of its own in the list, and tells the terminal nothing', async t => {
  const { control, name } = await busy(t)
  const forged = '9  2026-11-21T20:30:26.584Z  controller  promoted  food11-v2  all steps are done'
  await control.client.act(name, 'pause', { reason: `wait\n${forged}\u001B[2J` })
  const { stdout } = await audit(control.url)
  t.notOk(stdout.split('\n').includes(forged))
  t.ok(stdout.includes(`wait\\n${forged}\\u001b[2J`), stdout)
  t.notMatch(stdout, '\u001B')
})

const damages = {
  'a changed reason': [
    "UPDATE audit SET record = replace(record, 'ada', 'eve')",
    { seq: 1, problem: 'changed' },
  ],
  'a missing record': ['DELETE FROM audit WHERE seq = 3', { seq: 3, problem: 'missing' }],
  'a missing last record': [
    'DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)',
    { problem: 'missing' },
  ],
  'an empty audit': ['DELETE FROM audit', { seq: 1, problem: 'missing' }],
  'two records that changed places': [
    'UPDATE audit SET seq = -3 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = -3',
    { seq: 2 },
  ],
} as const

for (const [damage, [sql, expected]] of Object.entries(damages)) {
  t.test(`weir audit verify finds ${damage}, with exit code 1`, async t => {
    const { world, control, name } = await busy(t)
    control.store.db.exec(sql)
    t.match((await control.client.verifyAudit()).firstBad, expected)
    const { code, stdout } = await audit(control.url, 'verify', '--json')
    t.equal(code, 1)
    t.match(JSON.parse(stdout), { firstBad: expected })
    await pass(world, control, { name, seconds: 30, requestsPerSecond: 100 })
    t.match(
      (await control.client.verifyAudit()).firstBad,
      expected,
      'and what is recorded later does not hide it',
    )
  })
}

t.test('a head that is none is refused', async t => {
  const { control } = await busy(t)
  await t.rejects(control.client.verifyAudit('4'), { code: 'bad_request', message: /SEQ:HASH/ })
})
