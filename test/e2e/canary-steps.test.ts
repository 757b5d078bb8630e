import t from 'tap'
import { until } from '../helpers/until.ts'
import { rolloutOf, startRollouts } from './rollouts.ts'

// What a canary can do beside widening, on real processes: testers by a header, a weight kept until enough is known, and a newer
// rollout that takes the place of the one under way.

const stack = await startRollouts(t)
const { controller } = stack

t.test(
  'testers get the candidate before anybody else does, and a weight is kept until enough is known',
  async t => {
    const load = stack.load(30)
    const canary = {
      steps: [
        { headerRoute: { header: 'x-tester', value: 'yes' } },
        { pause: {} },
        { setWeight: 50 },
        { analysis: { excess: '5pp', minRequests: 60 } },
      ],
    }
    const { name } = await controller.startRollout(rolloutOf('2', { strategy: { canary } }))
    const at = async (step: string) => {
      const rollout = await controller.rollout(name)
      return rollout.step.name === step && rollout
    }
    await until('the pause', 30_000, () => at('pause'))
    t.equal(await answersTester('yes'), '2')
    t.equal(await answersTester('no'), '1')
    t.match((await stack.policy()).weights, { stable: 100, candidate: 0 })
    t.notOk('candidate' in load.snapshot().byVariant, 'users are answered by stable alone')

    await controller.act(name, 'resume')
    const analysing = await until('the analysis', 30_000, () => at('analysis'))
    t.match(analysing, { phase: 'Progressing', weight: 50 })
    const result = await stack.ended(name)
    t.match(result, { phase: 'Promoted' }, result.message)
    t.ok(
      (result.decision?.exposure.candidate ?? 0) >= 60,
      `after ${result.decision?.exposure.candidate} requests`,
    )
    t.same((await stack.policy()).headerRoutes, [], 'testers are users again')
    t.equal(await stack.versionOf('stable'), '2')
    const sent = await load.stop()
    t.equal(sent.failed, 0, sent.firstFailure ?? `of ${sent.sent}`)
  },
)

t.test('a newer rollout supersedes the one under way only when asked, and users notice neither', async t => {
  const load = stack.load(30)
  const rollout = (weight: number, spec: object = {}) =>
    rolloutOf('1', { strategy: { canary: { steps: [{ setWeight: weight }, { pause: {} }] } }, ...spec })
  const carries = (percent: number) => async () => (await stack.policy()).weights['candidate'] === percent
  const first = await controller.startRollout(rollout(40, { drill: { delayMs: 1 } }))
  await until('the first to have its weight', 30_000, carries(40))
  const [drilled] = (await stack.policy()).variants['candidate']?.endpoints ?? []
  await t.rejects(controller.startRollout(rollout(20)), { code: 'conflict', message: /is under way/ })

  const second = await controller.startRollout(rollout(20, { supersede: true }))
  t.match(await controller.rollout(first.name), {
    phase: 'Superseded',
    message: `superseded by ${second.name}`,
  })
  await until('the second to have its weight', 30_000, carries(20))
  t.not((await stack.policy()).variants['candidate']?.endpoints[0], drilled, 'a process of its own')
  t.equal(await stack.versionOf('candidate'), '1')
  await controller.act(second.name, 'abort')
  t.match(await stack.ended(second.name), { phase: 'Aborted' })
  t.match((await stack.policy()).weights, { stable: 100, candidate: 0 })
  const sent = await load.stop()
  t.equal(sent.failed, 0, sent.firstFailure ?? `of ${sent.sent}`)
})

/** The version that answers who sends x-tester. */
async function answersTester(value: string): Promise<string> {
  const answer = await fetch(`${stack.publicUrl}/version`, { headers: { 'x-tester': value } })
  return ((await answer.json()) as { model_version: string }).model_version
}
