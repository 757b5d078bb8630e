import t from 'tap'
import { decisions, doneIn, expectedTrail, lastSeq, trailOf } from './audit-trail.ts'
import { MODEL, QUICK, startMortalStack, variation } from './mortal-stack.ts'
import {
  BROKEN_OFF,
  checkDeaths,
  IN_PRODUCTION_ALREADY,
  NEVER_BEGUN,
  TO_PRODUCTION,
} from './pipeline-deaths.ts'

// Runs that end otherwise than with a version in production, or back from it, on real processes, while users send photos all
// the time, and a controller that is killed (kill -9) before and after the commits that are theirs alone.

t.setTimeout(300_000)

const stack = await startMortalStack(t)
const { ask, life } = stack

t.test('what production runs already skips the steps after the gates', { timeout: 120_000 }, async t => {
  life.spare(TO_PRODUCTION)
  const { id } = await ask(async client => client.startPipeline(MODEL, '1'))
  const run = await stack.ends(id)
  t.match(run, { phase: 'Passed' }, run.message)
  checkDeaths(t, life.deaths(), { run: id, transitions: IN_PRODUCTION_ALREADY })
  const trail = await ask(async client => trailOf(client, `pipeline/${id}`))
  t.same(decisions(trail), expectedTrail(run), 'the audit tells each step once')
  t.match(await stack.environment('staging'), { current: { version: '1', good: true } })
  t.same((await stack.environment('canary')).history, [])
})

// Killed between the commit that made the run and the one that broke it off, it went on with the default settings.
t.test('a pipeline.yaml that says nonsense begins nothing, in no life', { timeout: 120_000 }, async t => {
  life.spare([])
  await stack.writePipeline('aproval: person\n')
  const version = await stack.register(variation({ manifest: { memoryLimitMiB: 401 } }))
  const run = await stack.ends((await stack.runOf(version)).id)
  t.match(run, { phase: 'Error', message: /aproval/ })
  checkDeaths(t, life.deaths(), { run: run.id, transitions: NEVER_BEGUN })
  const trail = await ask(async client => trailOf(client, `pipeline/${run.id}`))
  t.same(
    trail.map(({ action }) => action),
    ['started', 'error'],
  )
  const runs = await ask(async client => client.pipelines())
  t.equal(runs.filter(({ modelVersion }) => modelVersion === version).length, 1, 'it was taken once')
})

t.test(
  'an error in a gate ends the run, and nothing is held against the version',
  { timeout: 120_000 },
  async t => {
    life.spare(TO_PRODUCTION)
    const argv = JSON.stringify([process.execPath, '-e', 'process.exit(2)'])
    const gates = `gates: { resources: false, load: false, quality: false, commands: [{ name: ours, argv: ${argv} }] }`
    await stack.writePipeline(QUICK.replace(/^gates:\n( .*\n)+/, `${gates}\n`))
    const seq = await ask(lastSeq)
    const version = await stack.register(variation({ manifest: { memoryLimitMiB: 402 } }))
    const run = await stack.ends((await stack.runOf(version)).id)
    t.match(run, { phase: 'Error', message: /^gates: ours: / }, run.message)
    checkDeaths(t, life.deaths(), { run: run.id, transitions: BROKEN_OFF })
    const trail = await ask(async client => trailOf(client, `pipeline/${run.id}`))
    t.same(decisions(trail), expectedTrail(run), 'the audit tells each step once')
    const { aliases, failed } = await ask(async client => client.modelVersion(MODEL, version))
    t.same({ aliases, failed }, { aliases: ['development', 'staging'], failed: null })
    t.match(await stack.environment('staging'), { current: { version, good: false } })
    t.same(
      await ask(async client => doneIn(client, 'staging', seq)),
      ['promote', 'switching', 'aliasing', 'deployed'].toSorted(),
      'nothing was reverted',
    )
  },
)

t.test('no user noticed, and the audit is as it was written', async t => {
  await stack.checkUsers(t)
})
