import t from 'tap'
import { decisions, doneIn, expectedTrail, lastSeq, trailOf } from './audit-trail.ts'
import { until } from '../helpers/until.ts'
import { MODEL, QUICK, startMortalStack, variation } from './mortal-stack.ts'
import {
  BROKEN_OFF,
  CANCELLED,
  CANCELLED_IN_TURN,
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

t.test('a run that is cancelled in its rollout, and one behind it', { timeout: 120_000 }, async t => {
  life.spare(TO_PRODUCTION)
  await stack.writePipeline(QUICK.replace('{ setWeight: 50 }', '{ setWeight: 50 }, { pause: {} }'))
  const version = await stack.register(variation({ manifest: { memoryLimitMiB: 403 } }))
  const { id } = await stack.runOf(version)
  const behind = await stack.runOf(await stack.register(variation({ manifest: { memoryLimitMiB: 404 } })))
  const cancellation = { as: 'grace', reason: 'not this week' }
  await ask(async client => client.cancelPipeline(behind.id, cancellation))
  t.match(await stack.ends(behind.id), { phase: 'Cancelled', cancelledBy: 'grace' })
  checkDeaths(t, life.deaths(), { run: behind.id, transitions: CANCELLED_IN_TURN })

  const rollout = await until('its rollout pauses', 60_000, async () => {
    const { outputs } = await stack.viewOf(id)
    if (outputs.rollout === null) return false
    const view = await ask(async client => client.rollout(outputs.rollout ?? ''))
    return view.phase === 'Paused' && view.cause === 'pause-step' && view.name
  })
  await ask(async client => client.cancelPipeline(id, cancellation))
  const run = await stack.ends(id)
  t.match(run, { phase: 'Cancelled', message: /staging runs version 1; canary is stopped/ }, run.message)
  checkDeaths(t, life.deaths(), { run: id, transitions: CANCELLED })
  t.match(await ask(async client => client.rollout(rollout)), { phase: 'Aborted' })
  const trail = await ask(async client => trailOf(client, `pipeline/${id}`))
  t.same(decisions(trail), expectedTrail(run), 'the audit tells each step once')
  const { failed } = await ask(async client => client.modelVersion(MODEL, version))
  t.equal(failed, null, 'nothing is held against the version')
  t.same((await stack.environment('production')).current, stack.production)
})

t.test('no user noticed, and the audit is as it was written', async t => {
  await stack.checkUsers(t)
})
