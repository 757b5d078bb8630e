import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { gates, run, startControl, startWorld, writePipeline, type Control } from './pipeline-control.ts'

type Test = Parameters<typeof startControl>[0]

/** A version that differs from all others, as somebody would register it. */
async function register(t: Test, { registry }: Control, memoryLimitMiB: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-registered-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await cp('models/food11/2', folder, { recursive: true })
  const file = join(folder, 'model.json')
  const { digest: _, ...manifest } = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
  await writeFile(file, JSON.stringify({ ...manifest, memoryLimitMiB }))
  return (await registry.register('food11', folder, { actor: 'ada' })).version.version
}

const taken = ({ pipelines }: Control) =>
  pipelines
    .list()
    .map(({ modelVersion }) => modelVersion)
    .toReversed()

t.test('a registration starts one run, once, whatever restarts', async t => {
  const world = await startWorld(t, gates(0))
  const control = startControl(t, world)
  await control.registrations.take()
  t.same(control.pipelines.list(), [], 'what merely lies there was not registered')
  const { version } = await control.registry.register('food11', 'models/food11/2', { actor: 'ada' })
  await control.registrations.take()
  control.stop()
  const next = startControl(t, world)
  await next.registrations.take()
  t.match(next.pipelines.list(), [
    { modelVersion: version.version, trigger: 'registration', startedBy: 'ada' },
  ])
  t.equal(next.pipelines.list().length, 1)
})

// Only the one that development pointed at when it was looked at had a run.
t.test('each of several registrations between two looks starts its run, in their order', async t => {
  const world = await startWorld(t, gates(0))
  const control = startControl(t, world)
  await control.registrations.take()
  const versions = [
    await register(t, control, 401),
    await register(t, control, 402),
    await register(t, control, 403),
  ]
  control.stop() // and the controller dies before it looks
  const next = startControl(t, world)
  await next.registrations.take()
  t.same(taken(next), versions)
  await next.registrations.take()
  t.same(taken(next), versions, 'once')
})

t.test('of what was registered before the first look of all, the newest alone starts a run', async t => {
  const world = await startWorld(t, gates(0))
  const control = startControl(t, world)
  await register(t, control, 401)
  const newest = await register(t, control, 402)
  await control.registrations.take()
  t.same(taken(control), [newest])
  const later = await register(t, control, 403)
  await control.registrations.take()
  t.same(taken(control), [newest, later])
})

t.test('what was registered while runs were started by hand only stays so', async t => {
  const world = await startWorld(t, 'onRegistration: false\n')
  const control = startControl(t, world)
  await control.registrations.take()
  await register(t, control, 401)
  await control.registrations.take()
  writePipeline(world, gates(0))
  await control.registrations.take()
  t.same(taken(control), [])
})

t.test('a registration of what a person has sent on its way already starts no second run', async t => {
  const world = await startWorld(t, gates(0))
  const control = startControl(t, world)
  await control.registrations.take()
  const version = await register(t, control, 401)
  await run(control, version)
  await control.registrations.take()
  t.same(taken(control), [version])
})
