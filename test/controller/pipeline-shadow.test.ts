import t from 'tap'
import type { Evidence } from '../../controller/evidence/evidence.ts'
import { comparisons } from '../lifecycle/comparisons.ts'
import { run, startControl, startWorld, stepOf } from './pipeline-control.ts'

// The shadow gate on its way through the pipeline: copies of live requests go to what runs in staging.

type Test = Parameters<typeof startControl>[0]

const SHADOW =
  'gates: { integration: false, resources: false, load: false, quality: false, shadow: { percent: 40, within: 20s } }\n'

/** A run whose gate sees that so many of 500 copies a look were answered as production answered them. */
async function shadowed(t: Test, agreeing: number) {
  const world = await startWorld(t, SHADOW)
  const source = comparisons(500, agreeing)
  const seen: object[] = []
  const evidence: Evidence = {
    look(route, beside) {
      const { variants, weights, mirror } = world.gateway.policy('food11')
      seen.push({ weights, mirror, endpoints: variants['candidate']?.endpoints })
      return source.look(route, beside)
    },
  }
  const control = startControl(t, world, { evidence })
  const id = await run(control, '2')
  await control.until('the end of the gates', () => {
    const status = stepOf(control, id, 'gates')?.status ?? 'pending'
    return status === 'passed' || status === 'failed' || status === 'error'
  })
  return { world, control, id, seen }
}

const endpointOf = (control: ReturnType<typeof startControl>, name: 'staging' | 'canary') =>
  control.environments.running(name)?.endpoints

t.test('a version that answers as production does passes, and goes on to canary', async t => {
  const { world, control, id, seen } = await shadowed(t, 500)
  t.match(stepOf(control, id, 'gates'), {
    status: 'passed',
    message: 'passed: shadow',
    evidence: [{ gate: 'shadow', verdict: 'pass', reason: /pairs agree/, evidence: { gate: 'shadow' } }],
  })
  const mirror = { to: 'candidate', percent: 40 }
  const staged = endpointOf(control, 'staging')
  for (const policy of seen)
    t.match(
      policy,
      { mirror, weights: { stable: 100, candidate: 0 }, endpoints: staged },
      'users see nothing of it',
    )
  t.not(world.gateway.policy('food11').mirror?.percent, 40, 'the copying has ended')
  await control.until('canary', () => stepOf(control, id, 'alias-canary')?.status === 'passed')
  t.same(world.gateway.policy('food11').variants['candidate']?.endpoints, endpointOf(control, 'canary'))
  t.notSame(endpointOf(control, 'canary'), staged)
})

t.test('a version that answers otherwise fails, and its environment is reverted', async t => {
  const { world, control, id } = await shadowed(t, 300)
  await control.until('the end', () => control.pipelines.view(id).endedAt !== null)
  t.match(control.pipelines.view(id), { phase: 'Failed', message: /gates: shadow: .*staging is stopped/ })
  t.match(stepOf(control, id, 'gates'), { evidence: [{ verdict: 'fail', reason: /withdrawn/ }] })
  t.match(await control.registry.get('food11', '2'), { failed: /shadow/ })
  t.match(world.gateway.policy('food11'), { weights: { stable: 100 } })
  t.same(world.gateway.policy('food11').variants['candidate']?.endpoints, [], 'nothing is lent any more')
  t.not(world.gateway.policy('food11').mirror?.percent, 40)
  t.equal(control.rollouts.list().length, 0)
})
