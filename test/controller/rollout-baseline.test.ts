import t, { type Test } from 'tap'
import { replayRollout } from '../../controller/judge/judge-for.ts'
import { history } from '../../contract/history.ts'
import { rolloutFile } from '../../contract/rollout.ts'
import { rolloutOf, startControl, startWorld } from './control.ts'
import { changesOf, startSeveral } from './several.ts'

// On request the candidate is compared with fresh processes of stable's version, of its own size and weight.

const held = [{ setWeight: 10 }, { pause: {} }]
const canary = (steps: readonly object[]) => ({ canary: { steps, baseline: true } })
const started = (t: Test, steps: readonly object[], processes = 1) =>
  startSeveral(t, { processes, strategy: canary(steps) })

t.test(
  'a baseline is ready before anybody gets weight, has the weight of the candidate, and ends with it',
  async t => {
    const { seconds, shapes, shape, status } = await started(t, [
      { setWeight: 10 },
      { ramp: { riskBudget: '5pp', to: 95 } },
    ])
    await seconds(60)
    t.match(await status(), { phase: 'Promoted' })
    const weights = changesOf(
      shapes.map(one => [one.weights['stable'], one.weights['candidate'], one.weights['baseline']]),
    )
    t.same(weights, [
      [100, 0, undefined],
      [100, 0, 0],
      [80, 10, 10],
      [50, 25, 25],
      [0, 50, 50],
      [0, 95, 5],
      [100, 0, undefined],
    ])
    t.strictSame(shape().running, { 'food11-v1': 1, 'food11-v2.candidate': 1 }, 'its process has ended')
  },
)

t.test('as many processes as the candidate', async t => {
  const { seconds, shape } = await started(t, [{ setWeight: 40 }, { pause: {} }], 4)
  await seconds(5)
  t.match(shape(), {
    weights: { stable: 20, candidate: 40, baseline: 40 },
    processes: { stable: 4, candidate: 2, baseline: 2 },
    running: { 'food11-v2.baseline': 2 },
  })
})

t.test('the judge compares with it, and not with all of stable', async t => {
  const { seconds, status } = await started(t, held)
  const cold = { failing: { candidate: 0.05, baseline: 0.05 } } // as fresh processes are, whatever their version
  await seconds(20, cold)
  t.match(await status(), { phase: 'Paused', weight: 10 })
  const { decision } = await status()
  t.equal(decision?.exposure.stable, decision?.exposure.candidate, 'as many requests on both sides')
  await seconds(20, { failing: { candidate: 0.3, baseline: 0.05 } })
  t.match(await status(), { phase: 'RolledBack', cause: 'failure' })

  const without = await startSeveral(t, { processes: 1, strategy: { canary: { steps: held } } })
  await without.seconds(20, cold)
  t.match(
    await without.status(),
    { phase: 'RolledBack', cause: 'failure' },
    'compared with stable it seems to harm',
  )
})

t.test('it is foreseen that a comparison with fewer requests takes longer', async t => {
  const ramp = [{ setWeight: 5 }, { ramp: { riskBudget: '0.1pp', to: 95 } }]
  const seconds: number[] = []
  for (const baseline of [false, true]) {
    const rollout = await startSeveral(t, { processes: 1, strategy: { canary: { steps: ramp, baseline } } })
    await rollout.seconds(12, { failing: { stable: 0.01, candidate: 0.01, baseline: 0.01 } })
    seconds.push((await rollout.status()).expectation?.seconds ?? 0)
  }
  const [withStable = 0, withBaseline = 0] = seconds
  t.ok(withStable > 0 && withBaseline > withStable, `${withBaseline} s in place of ${withStable} s`)
})

t.test('what was recorded with it is replayed with it', async t => {
  const { seconds, status, world, name } = await started(t, held)
  await seconds(20, { failing: { candidate: 0.1 } })
  const control = await startControl(t, world)
  const { rollout, history: recorded } = await control.client.evidence(name)
  const { spec } = rolloutFile.parse(rollout)
  const { e, exposure } = replayRollout(history.parse(recorded), spec).at(-1) ?? {}
  t.match((await status()).decision, { e, exposure })
})

t.test('an abort, a rejection by its digest, and a newer rollout take it away', async t => {
  const aborted = await started(t, held)
  await aborted.seconds(5)
  await aborted.act('abort')
  await aborted.seconds(2)
  t.notOk('baseline' in aborted.shape().weights)
  t.strictSame(aborted.shape().running, { 'food11-v1': 1 })

  const { world, seconds, shape } = await started(t, held)
  await seconds(5)
  const control = await startControl(t, world)
  const newer = await control.client.startRollout(rolloutOf({ supersede: true }))
  await control.tick(newer.name)
  t.notOk('baseline' in shape().weights)
  t.strictSame(shape().running, { 'food11-v1': 1, 'food11-v2-2.candidate': 1 })
})

t.test(
  'a baseline that is another version than stable withdraws the rollout before anybody gets weight',
  async t => {
    const { world, seconds, status, shapes } = await started(t, held)
    const { status: real } = world.runtime
    world.runtime.status = async id => {
      const found = await real(id)
      return found.kind === 'ready' && id.endsWith('.baseline') ? { ...found, digest: 'sha256:other' } : found
    }
    await seconds(5)
    t.match(await status(), {
      phase: 'Failed',
      cause: 'not-ready',
      message: 'the baseline answers with sha256:other, not sha256:one',
    })
    t.ok(shapes.every(({ weights }) => weights['candidate'] === 0))
  },
)

t.test('a variant of that name of somebody else is not taken', async t => {
  const variants = { stable: { endpoints: ['http://127.0.0.1:1'] }, candidate: { endpoints: [] } }
  const world = await startWorld(t)
  world.gateway.write({ variants: { baseline: { endpoints: variants.stable.endpoints } } })
  const control = await startControl(t, world)
  await t.rejects(control.client.startRollout(rolloutOf({ strategy: canary(held) })), {
    code: 'conflict',
    message: /has a variant "baseline" already/,
  })
})
