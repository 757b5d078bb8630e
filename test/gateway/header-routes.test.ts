import t from 'tap'
import { routePolicy } from '../../contract/policy.ts'
import { namedUpstream, startWorker, twoVariants } from './harness.ts'

t.test('requests with the header go to the variant at any weight, and sway no evidence', async t => {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  const headerRoutes = [{ header: 'X-Language', value: 'de', to: 'candidate' }]
  const weights = { stable: 100, candidate: 0 }
  const sticky = { header: 'x-user-id' }
  const worker = await startWorker(t, [twoVariants(stable, candidate, { weights, sticky, headerRoutes })])
  const of = async (headers: Record<string, string>) => (await worker.send({ headers })).text
  t.equal(await of({ 'x-language': 'de', 'x-user-id': 'ada' }), 'candidate')
  t.equal(await of({ 'x-language': 'fr' }), 'stable')
  t.equal(await of({}), 'stable')
  t.equal(await of({ 'x-language': 'de', 'x-weir-variant': 'stable' }), 'stable', 'an override goes first')
  t.equal(await worker.total('weir_requests_total', { variant: 'candidate', kind: 'override' }), 1)
  t.equal(await worker.total('weir_requests_total', { variant: 'candidate', kind: 'split' }), 0)
  t.equal(await worker.total('weir_assigned_total', { variant: 'candidate' }), 0)
})

t.test('a header route to a variant that does not exist is refused by name', t => {
  const headerRoutes = [{ header: 'x-language', value: 'de', to: 'nobody' }]
  const parsed = routePolicy.safeParse(twoVariants('http://a:1', 'http://b:2', { headerRoutes }))
  t.match(parsed.error?.issues, [
    { path: ['headerRoutes', '0', 'to'], message: 'there is no variant "nobody"' },
  ])
  t.end()
})
