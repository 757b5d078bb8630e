import { execFile } from 'node:child_process'
import t from 'tap'
import { createHttpServer } from '../../lib/http-server.ts'
import { createControllerClient } from '../../client/controller.ts'
import { createIdempotency } from '../../controller/idempotency.ts'
import { addEnvironments } from '../../controller/lifecycle/environments-api.ts'
import { until } from '../helpers/until.ts'
import { digestOf, provenInStaging } from './environment-world.ts'
import { gates, startControl, startWorld, writePipeline, type Control } from './pipeline-control.ts'

// Gates that a person runs on what an environment runs.

type Test = Parameters<typeof startControl>[0]

/** Version 2 runs in canary by hand, and nothing has shown there that it is good. */
async function inCanary(t: Test, exitCode = 0) {
  const world = await startWorld(t, gates(exitCode))
  const control = startControl(t, world)
  for (const name of ['production', 'staging', 'canary'] as const) await control.settle(name)
  await provenInStaging(control, '2')
  const asked = { to: 'canary' as const, from: 'staging' as const, version: '2', force: false, actor: 'ada' }
  const begin = await control.environments.preparePromote(asked)
  begin()
  await control.settle('canary')
  return { world, control }
}

async function runGates({ environmentGates }: Control, version?: string) {
  const begin = await environmentGates.prepare('canary', { version, actor: 'grace', reason: 'by hand' })
  const begun = begin()
  await environmentGates.settled()
  return begun
}

const toProduction = ({ environments }: Control) =>
  environments.preparePromote({
    to: 'production',
    from: 'canary',
    version: '2',
    force: false,
    actor: 'ada',
  })

t.test('what passes them in canary may go to production without force', async t => {
  const { control } = await inCanary(t)
  await t.rejects(toProduction(control), {
    code: 'gates_not_passed',
    message: /version 2 has not passed the gates of canary: weir env gates canary runs them/,
  })
  const begun = await runGates(control, '2')
  t.match(begun.gates, { verdict: null, endedAt: null, by: 'grace', revision: 1, digest: digestOf('2') })
  const { current, gates: found, history } = control.environments.view('canary')
  t.match(current, { version: '2', good: true })
  t.match(found, {
    verdict: 'pass',
    endedAt: /Z$/,
    digest: digestOf('2'),
    results: [{ gate: 'ours', verdict: 'pass' }],
  })
  t.match(history[0], { goodAt: /Z$/ })
  const begin = await toProduction(control)
  begin()
  t.match(await control.settle('production'), { current: { version: '2', good: false } })
  const told = control.audit.list({ subject: 'environment/canary' }).toReversed()
  t.match(
    told.filter(({ action }) => action.startsWith('gates') || action === 'seen-good'),
    [
      { action: 'gates-begun', actor: 'grace', reason: /by hand/, evidence: { digest: digestOf('2') } },
      {
        action: 'gates-pass',
        actor: 'grace',
        evidence: { digest: digestOf('2'), results: [{ verdict: 'pass' }] },
      },
      { action: 'seen-good', reason: /gates run by grace: passed: ours/ },
    ],
  )
})

t.test('what fails them may not, also where it was seen good before; an error says nothing', async t => {
  const { world, control } = await inCanary(t, 3)
  await runGates(control)
  t.match(control.environments.view('canary'), { current: { good: false }, gates: { verdict: 'error' } })
  await t.rejects(toProduction(control), { code: 'gates_not_passed' })
  writePipeline(world, gates(0))
  await runGates(control)
  writePipeline(world, gates(3))
  await runGates(control)
  await toProduction(control) // what was seen stands
  writePipeline(world, gates(1))
  await runGates(control)
  await t.rejects(toProduction(control), {
    code: 'gates_not_passed',
    message: /of canary: ours: .* ended with code 1/,
  })
  writePipeline(world, gates(3))
  await runGates(control)
  t.match(control.environments.view('canary').gates, { verdict: 'error' })
  await t.rejects(
    toProduction(control),
    { code: 'gates_not_passed', message: /of canary: ours: .* ended with code 1/ },
    'what failed does not pass by an error',
  )
  writePipeline(world, gates(0))
  await runGates(control)
  await toProduction(control)
  t.match(await control.registry.get('food11', '2'), { failed: null }, 'it is no verdict of the pipeline')
})

t.test('what they found is there after a restart, and is not that of another deployment', async t => {
  const { world, control } = await inCanary(t)
  await runGates(control)
  control.stop()
  const next = startControl(t, world)
  t.match(next.environments.view('canary'), { gates: { verdict: 'pass', results: [{ gate: 'ours' }] } })
  await provenInStaging(next, '3')
  const asked = { to: 'canary' as const, from: 'staging' as const, version: '3', force: false, actor: 'ada' }
  const begin = await next.environments.preparePromote(asked)
  begin()
  t.match(await next.settle('canary'), { current: { version: '3', good: false }, gates: null })
})

// They were forgotten with the controller: nobody was told that they had come to nothing.
t.test('what a controller that dies was measuring ends as an error that says so', async t => {
  const { world, control } = await inCanary(t)
  const forEver = JSON.stringify([process.execPath, '-e', 'setTimeout(() => {}, 600_000)'])
  const passing = JSON.stringify(['true'])
  const commands = `[{ name: first, argv: ${passing} }, { name: long, argv: ${forEver} }]`
  const others = 'integration: false, resources: false, load: false, quality: false'
  writePipeline(world, `gates: { ${others}, commands: ${commands} }\n`)
  t.teardown(() => control.environmentGates.stop())
  const begin = await control.environmentGates.prepare('canary', { actor: 'grace', reason: 'by hand' })
  begin()
  await until('the first result', 30_000, async () => {
    const { gates: found } = control.environments.view('canary')
    return found?.results.length === 1
  })
  control.stop()

  writePipeline(world, gates(0))
  const next = startControl(t, world)
  t.match(next.environments.view('canary'), {
    current: { version: '2', good: false },
    gates: {
      verdict: 'error',
      by: 'grace',
      reason: 'by hand',
      endedAt: /Z$/,
      results: [
        { gate: 'first', verdict: 'pass' },
        { gate: 'gates', verdict: 'error', reason: /interrupted by a restart of the controller/ },
      ],
    },
  })
  const told = next.audit.list({ subject: 'environment/canary' })
  const interrupted = told.filter(({ action }) => action === 'gates-error')
  t.match(interrupted, [{ actor: 'grace', reason: /interrupted/, evidence: { digest: digestOf('2') } }])
  await t.rejects(toProduction(next), { code: 'gates_not_passed' })
  await runGates(next)
  t.match(next.environments.view('canary'), { current: { good: true }, gates: { verdict: 'pass' } })
})

t.test('a version that is replaced while it is measured passes nothing', async t => {
  const { control } = await inCanary(t)
  const begin = await control.environmentGates.prepare('canary', { actor: 'grace', reason: undefined })
  control.environments.revert('canary', { revision: 1, actor: 'grace', reason: 'away with it' })
  await control.settle('canary')
  t.throws(begin, { code: 'not_verified', message: /canary runs no version/ })
})

t.test('they are refused where they would say nothing', async t => {
  const { control } = await inCanary(t)
  const prepare = (name: 'staging' | 'canary' | 'production', version?: string) =>
    control.environmentGates.prepare(name, { version, actor: 'grace', reason: undefined })
  await t.rejects(prepare('production'), { code: 'invalid_setting', message: /staging or canary/ })
  await t.rejects(prepare('canary', '3'), { code: 'not_verified', message: /runs version 2, not 3/ })
  const begin = await prepare('canary')
  begin()
  t.throws(begin, { code: 'conflict' }, 'one at a time')
  await t.rejects(prepare('canary'), { code: 'conflict', message: /under way/ })
  await control.environmentGates.settled()
  await t.rejects(
    control.environmentGates.prepare('canary', { actor: 'grace', reason: undefined, ifMatch: 999 }),
    { code: 'precondition_failed' },
  )
})

async function startApi(t: Test, control: Control): Promise<string> {
  const { environments, environmentGates, store, clock, log } = control
  const app = createHttpServer({ log, bodyLimitBytes: 65_536 })
  addEnvironments(app, { environments, gates: environmentGates, once: createIdempotency(store, clock) })
  t.teardown(() => app.close())
  return app.listen({ port: 0, host: '127.0.0.1' })
}

t.test('the API begins them, once a key, and tells how they stand', async t => {
  const { control } = await inCanary(t)
  const { environmentGates } = control
  const url = await startApi(t, control)
  const client = createControllerClient({ baseUrl: url, actor: 'ada' })
  t.match(await client.runGates('canary', { version: '2', reason: 'why not' }), {
    gates: { by: 'ada', endedAt: null },
  })
  await environmentGates.settled()
  t.match(await client.environment('canary'), { gates: { verdict: 'pass', reason: 'why not' } })
  await t.rejects(client.runGates('production'), { code: 'invalid_setting' })
  await t.rejects(client.runGates('staging', { version: '9' }), { code: 'not_verified' })
})

t.test('weir env gates shows each result, and its exit code says whether all passed', async t => {
  const { world, control } = await inCanary(t)
  const url = await startApi(t, control)
  const weir = (...args: string[]) =>
    new Promise<{ code: unknown; stdout: string; stderr: string }>(resolve => {
      const command = ['cli/weir.ts', 'env', 'gates', ...args, '--controller', url]
      execFile(process.execPath, command, (error, stdout, stderr) =>
        resolve({ code: error?.code ?? 0, stdout, stderr }),
      )
    })
  t.match(await weir('canary', '--version', '2'), {
    code: 0,
    stdout: /^pass  ours: .*code 0\ncanary: the gates of food11 version 2 passed\n$/,
  })
  writePipeline(world, gates(1))
  t.match(await weir('canary'), { code: 1, stdout: /^fail  ours: [^]*version 2 failed\n$/ })
  writePipeline(world, gates(3))
  t.match(await weir('canary'), { code: 1, stdout: /^error ours: [^]*came to nothing\n$/ })
  t.match(await weir('production'), { code: 1, stderr: /staging or canary/ })
  t.match(await weir('nowhere'), { code: 1, stderr: /the environment must be one of staging/ })
})
