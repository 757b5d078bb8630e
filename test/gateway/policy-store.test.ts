import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { openPolicyStore } from '../../gateway/primary/policy-store.ts'

const POLICY = {
  name: 'food11',
  variants: {
    stable: { endpoints: ['http://127.0.0.1:1'] },
    candidate: { endpoints: ['http://127.0.0.1:2'] },
  },
  weights: { stable: 90, candidate: 10 },
}

test('versions grow by one with every change; the epoch is the version of the last weight change', async t => {
  const store = await openPolicyStore({ dir: t.testdir() })
  t.match((await store.put(POLICY)).route, { version: 1, epoch: 1 })
  t.match((await store.put({ ...POLICY, timeoutMs: 5 })).route, { version: 2, epoch: 1 })
  t.match((await store.put({ ...POLICY, timeoutMs: 5, weights: { stable: 80, candidate: 20 } })).route, {
    version: 3,
    epoch: 3,
  })
  t.match(await store.put({ ...POLICY, timeoutMs: 5, weights: { stable: 80, candidate: 20 } }), {
    changed: false,
    route: { version: 3 },
  })
})

test('compare and set: of many who saw the same version one wins', async t => {
  const store = await openPolicyStore({ dir: t.testdir() })
  await store.put(POLICY)
  const tries = Array.from({ length: 10 }, (_, n) =>
    store.put({ ...POLICY, timeoutMs: n + 1 }, { ifVersion: 1 }),
  )
  const settled = await Promise.allSettled(tries)
  t.equal(settled.filter(({ status }) => status === 'fulfilled').length, 1)
  const lost = settled.find(({ status }) => status === 'rejected')
  t.match(lost, { reason: { code: 'precondition_failed', details: { version: 2 } } })
})

test('a store opened again has what was committed, and a removed route goes on counting', async t => {
  const dir = t.testdir()
  const store = await openPolicyStore({ dir })
  await store.put(POLICY)
  await store.remove('food11')
  t.same(store.list(), [])
  const again = await openPolicyStore({ dir })
  t.match((await again.put(POLICY)).route, { version: 3 })
})

for (const [problem, code] of [
  ['ENOSPC', 'insufficient_storage'],
  ['EACCES', 'insufficient_storage'],
] as const) {
  test(`a policy that cannot be written (${problem}) changes nothing, in memory or on the disk`, async t => {
    let full = false
    const dir = t.testdir()
    const write = async (path: string, content: string) => {
      if (full) throw Object.assign(new Error('write'), { code: problem })
      await writeFile(path, content)
    }
    const store = await openPolicyStore({ dir, write })
    await store.put(POLICY)
    full = true
    await t.rejects(store.put({ ...POLICY, timeoutMs: 5 }), { code })
    t.match(store.get('food11'), { version: 1, policy: { timeoutMs: 10_000 } })
    t.match(store.faults().get('food11'), problem)
    full = false
    t.match((await store.put({ ...POLICY, timeoutMs: 5 })).route, { version: 2 })
    t.equal(store.faults().size, 0)
  })
}

for (const [name, damage] of Object.entries({
  deleted: (path: string) => rm(path),
  truncated: (path: string) => writeFile(path, '{"version": 1, "pol'),
  'filled with garbage': (path: string) => writeFile(path, Buffer.from([0xff, 0, 1, 2])),
  'given a policy that contradicts itself': (path: string) =>
    writeFile(path, JSON.stringify({ version: 9, epoch: 9, policy: { ...POLICY, weights: { stable: 50 } } })),
})) {
  test(`a policy file that is ${name} leaves the last good policy in force, and the fault is known`, async t => {
    const dir = t.testdir()
    const store = await openPolicyStore({ dir })
    await store.put(POLICY)
    await damage(join(dir, 'food11.json'))
    t.equal(await store.refresh('food11'), undefined)
    t.match(store.get('food11'), { version: 1 })
    t.equal(store.faults().size, 1)
    t.match((await store.put({ ...POLICY, timeoutMs: 5 })).route, { version: 2 }, 'the next change mends it')
    t.equal(store.faults().size, 0)
  })
}

test('a file changed by hand is a new version, whatever version it claims', async t => {
  const dir = t.testdir()
  const store = await openPolicyStore({ dir })
  await store.put(POLICY)
  await store.put({ ...POLICY, timeoutMs: 5 })
  await writeFile(
    join(dir, 'food11.json'),
    JSON.stringify({ version: 1, epoch: 1, policy: { ...POLICY, weights: { stable: 100, candidate: 0 } } }),
  )
  t.match(await store.refresh('food11'), {
    name: 'food11',
    route: { version: 3, epoch: 3, policy: { weights: { candidate: 0 } } },
  })
  t.equal(await store.refresh('food11'), undefined)
  t.match(JSON.parse(await readFile(join(dir, 'food11.json'), 'utf8')), { version: 3 })
})

test('at the start a damaged file is refused by name', async t => {
  const dir = t.testdir({ 'food11.json': 'garbage' })
  await t.rejects(openPolicyStore({ dir }), { message: new RegExp(`${dir}/food11.json`) })
})

test('settings are refused by name', async t => {
  const store = await openPolicyStore({ dir: t.testdir() })
  const cases: [object, string, RegExp][] = [
    [{ wieghts: {} }, 'invalid_setting', /unknown setting "wieghts"/],
    [{ mirror: { to: 'candidate', percnt: 5 } }, 'invalid_setting', /mirror\.percnt/],
    [{ weights: { stable: 80, candidate: 21 } }, 'invalid_weights', /must sum to 100.*101/],
    [{ weights: { stable: 110, candidate: -10 } }, 'invalid_weights', /weights\.stable/],
    [{ weights: { stable: 99.999, candidate: 0.001 } }, 'invalid_weights', /two decimals/],
    [{ weights: { stable: 90, nope: 10 } }, 'invalid_weights', /weights\.nope/],
    [{ fallback: { to: 'nope' } }, 'invalid_setting', /fallback\.to/],
    [{ hedge: { to: 'stable' } }, 'invalid_setting', /idempotent/],
    [{ override: { from: ['300.0.0.0/8'] } }, 'invalid_setting', /override\.from\.0/],
    [{ trustedProxies: ['10.0.0.0/33'] }, 'invalid_setting', /trustedProxies\.0/],
    [{ trustedProxies: ['abc'] }, 'invalid_setting', /trustedProxies\.0/],
    [
      { variants: { ...POLICY.variants, stable: { endpoints: ['http://x/path'] } } },
      'invalid_setting',
      /variants\.stable\.endpoints\.0/,
    ],
  ]
  for (const [settings, code, message] of cases)
    await t.rejects(store.put({ ...POLICY, ...settings }), { code, message })
})
