import t from 'tap'
import { decisions, expectedTrail, lastSeq, trailOf } from './audit-trail.ts'
import { MODEL, startMortalStack, variation } from './mortal-stack.ts'
import { checkDeaths, TO_PRODUCTION } from './pipeline-deaths.ts'

// A version on its way to production on real processes, while users send photos all the time, and a controller that is killed
// (kill -9) before and after the commit of each transition of the run.

t.setTimeout(300_000)

const stack = await startMortalStack(t)
const { ask, life } = stack

t.test(
  'a version goes to production, although the controller is killed at each transition',
  { timeout: 240_000 },
  async t => {
    const seq = await ask(lastSeq)
    const version = await stack.register(variation({ manifest: { memoryLimitMiB: 400 } }))
    const { id } = await stack.runOf(version)
    await stack.reaches(id, 'approval')
    const judgement = { as: 'grace', reason: 'the photos look right' }
    await stack.askOnce(async client => client.judgePipeline(id, 'approve', judgement))
    const run = await stack.ends(id)
    t.match(run, { phase: 'Passed', outputs: { approvedBy: 'grace' } }, run.message)
    t.same(new Set(run.steps.map(({ status }) => status)), new Set(['passed']))
    checkDeaths(t, life.deaths(), { run: id, transitions: TO_PRODUCTION })

    for (const name of ['staging', 'canary', 'production'] as const) {
      const { current, history, health } = await stack.environment(name)
      t.match({ ...current, health }, { version, good: true, health: 'healthy' }, name)
      t.equal(history.filter(entry => entry.version === version).length, 1, `it came into ${name} once`)
    }
    const { aliases } = await ask(async client => client.modelVersion(MODEL, version))
    t.same(aliases, ['development', 'staging', 'canary', 'production'])
    t.equal((await ask(async client => client.rollouts())).length, 1, 'one rollout was started')

    const actionsOf = async (subject: string) =>
      (await ask(async client => trailOf(client, subject, seq))).map(({ action }) => action)
    const trail = await ask(async client => trailOf(client, `pipeline/${id}`))
    t.same(decisions(trail), expectedTrail(run), 'the audit tells each step once')
    t.same(await actionsOf(`${MODEL}/${version}`), ['register', 'set-alias', 'set-alias', 'set-alias'])
    for (const name of ['staging', 'canary'])
      t.same(
        (await actionsOf(`environment/${name}`)).filter(action => action !== 'policy-applied'),
        ['promote', 'switching', 'aliasing', 'deployed', 'seen-good'],
        name,
      )
  },
)

t.test('no user noticed, and the audit is as it was written', async t => {
  await stack.checkUsers(t)
})
