import t from 'tap'
import { routePolicy } from '../../contract/policy.ts'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openPolicyStore } from '../../gateway/primary/policy-store.ts'
import { namedUpstream, startWorker, twoVariants } from './harness.ts'

const sticky = { header: 'x-user-id' }
const splitBy = {
  header: 'Accept-Language',
  rules: [
    { values: ['de', 'fr-CA'], to: 'candidate' },
    { values: ['de-CH'], to: 'stable' },
  ],
}

t.test('requests are dealt by the value of a header, and count as split', async t => {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  const weights = { stable: 100, candidate: 0 }
  const worker = await startWorker(t, [twoVariants(stable, candidate, { weights, sticky, splitBy })])
  const of = async (language: string, more: Record<string, string> = {}) =>
    (await worker.send({ headers: { 'accept-language': language, 'x-user-id': 'ada', ...more } })).text
  for (const language of ['de', 'DE', 'de-AT', 'de-AT,en;q=0.5', 'de;q=0.9, en', 'fr-ca', 'de-Latn-AT'])
    t.equal(await of(language), 'candidate', language)
  for (const language of [
    'de-CH',
    'de-ch-1996',
    'fr',
    'fr-FR',
    'en,de',
    'deu',
    '',
    '-',
    `de-${'x'.repeat(200)}`,
  ])
    t.equal(await of(language), 'stable', language)
  t.equal((await worker.send({ headers: {} })).text, 'stable', 'without the header')
  t.equal(await of('de', { 'x-weir-variant': 'stable' }), 'stable', 'an override goes first')
  t.equal(await worker.total('weir_requests_total', { variant: 'candidate', kind: 'split' }), 7)
  t.equal(await worker.total('weir_assigned_total', { variant: 'candidate' }), 7)
  t.equal(await worker.total('weir_requests_total', { variant: 'candidate', kind: 'override' }), 0)
})

t.test('a closed route is closed whatever the header says', async t => {
  const upstream = await namedUpstream(t, 'candidate')
  const weights = { stable: 0, candidate: 0 }
  const worker = await startWorker(t, [twoVariants(upstream, upstream, { weights, splitBy })])
  t.equal((await worker.send({ headers: { 'accept-language': 'de' } })).status, 503)
})

t.test('rules that could deal nobody are refused by name', t => {
  const broken = (rules: object[]) => {
    const given = { splitBy: { header: 'x-region', rules } }
    return routePolicy.safeParse(twoVariants('http://a:1', 'http://b:2', given)).error?.issues
  }
  const candidate = { values: ['eu'], to: 'candidate' }
  t.match(broken([{ values: ['eu'], to: 'nobody' }]), [
    { path: ['splitBy', 'rules', '0', 'to'], message: 'there is no variant "nobody"' },
  ])
  t.match(broken([candidate, { values: ['us', 'EU'], to: 'stable' }]), [
    { path: ['splitBy', 'rules', '1', 'values'], message: '"eu" is named twice' },
  ])
  const variants = { stable: { endpoints: ['http://a:1'] }, candidate: { endpoints: [] } }
  t.match(
    routePolicy.safeParse({
      name: 'food11',
      variants,
      weights: { stable: 100 },
      splitBy: { header: 'x-region', rules: [candidate] },
    }).error?.issues,
    [{ path: ['splitBy', 'rules', '0', 'to'], message: 'the variant has no endpoint' }],
  )
  for (const value of ['', 'a b', 'de,fr', 'de;q=1', '-de'])
    t.match(
      broken([{ values: [value], to: 'candidate' }]),
      [{ path: ['splitBy', 'rules', 0, 'values', 0] }],
      value,
    )
  t.end()
})

t.test('who is dealt where by a header begins an epoch, as a weight change does', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'weir-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const store = await openPolicyStore({ dir })
  const policy = twoVariants('http://a:1', 'http://b:2', { weights: { stable: 100, candidate: 0 } })
  t.match((await store.put(policy)).route, { version: 1, epoch: 1 })
  t.match((await store.put({ ...policy, splitBy })).route, { version: 2, epoch: 2 })
  t.match((await store.put({ ...policy, splitBy, timeoutMs: 5 })).route, { version: 3, epoch: 2 })
  t.match((await store.put(policy)).route, { version: 4, epoch: 4 })
})
