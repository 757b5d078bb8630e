import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createAudit } from '../../controller/audit.ts'
import { createLocalRegistry } from '../../controller/registry/local.ts'
import { createModelFolder, type ModelFolder } from '../../controller/registry/model-folder.ts'
import { openStore } from '../../controller/store.ts'
import { systemClock } from '../../lib/clock.ts'
import { colourManifest } from '../serving/model-folder.ts'
import { localRegistry } from './local-registry.ts'
import { createMortality, type Kill, type Moment } from './mortality.ts'
import { refused, registrySuite, temporary, trained } from './registry-suite.ts'

registrySuite(t, async t => open(t))

const ADA = { actor: 'ada' }

function open(t: Test, dir = temporary(t)) {
  const store = openStore(join(dir, 'state'))
  t.teardown(() => store.close())
  const models = join(dir, 'models')
  return { registry: localRegistry(models, store), audit: createAudit(store), store, models, dir }
}

t.test('versions that lie in the folder are versions, and are registered by registering them', async t => {
  const dir = temporary(t)
  await cp('models/food11', join(dir, 'models/food11'), { recursive: true })
  const { registry } = open(t, dir)
  const found = await registry.versions('food11')
  t.match(found, [
    { version: '1', registeredAt: null, registeredBy: null },
    { version: '2', registeredAt: null, registeredBy: null },
  ])
  t.same(await registry.aliases('food11'), {})
  const again = await registry.register('food11', 'models/food11/2', ADA)
  t.match(again, { created: false, version: { version: '2', registeredBy: 'ada', digest: found[1]?.digest } })
  t.same(await registry.aliases('food11'), { development: '2' })
  t.match(await registry.register('food11', await trained(t, 'a'), ADA), { version: { version: '3' } })
})

t.test('an explicit number is allowed if it is new, and the next one follows the highest', async t => {
  const { registry, models } = open(t)
  const register = async (change: string, version?: string) =>
    registry.register('colours', await trained(t, change), { ...ADA, version })
  t.match(await register('a', '7'), { created: true, version: { version: '7' } })
  t.match(await register('a', '7'), { created: false }, 'the same content under its number')
  await refused(t, register('b', '7'), 'version_exists', /version 7 of colours exists already/)
  await refused(t, register('b', '../7'), 'invalid_setting', /letters, digits/)
  t.match(await register('b'), { version: { version: '8' } })
  t.match(await register('c', 'nightly'), { version: { version: 'nightly' } })
  await writeFile(join(models, 'colours', '9'), 'no folder, but the number is taken')
  t.match(await register('d'), { version: { version: '10' } })
})

t.test('a folder that is no version is refused where it lies, and takes nothing from the others', async t => {
  const { registry, models } = open(t)
  await registry.register('colours', await trained(t, 'a'), ADA)
  const lay = async (version: string, files: Record<string, string>) => {
    await mkdir(join(models, 'colours', version), { recursive: true })
    for (const [name, text] of Object.entries(files))
      await writeFile(join(models, 'colours', version, name), text)
  }
  const manifest = await readFile(join(models, 'colours/1/model.json'), 'utf8')
  await lay('2', {}) // not even begun
  await lay('3', { 'model.json': '{' })
  await lay('4', { 'model.json': manifest })
  await lay('5', { 'model.json': JSON.stringify(colourManifest()) })
  await mkdir(join(models, 'colours/6/model.json'), { recursive: true })
  await symlink('7', join(models, 'colours/7')) // leads nowhere but to itself
  await lay('.8.partial', { 'model.json': '{' }) // as copying programs call what is not complete
  t.same(
    (await registry.versions('colours')).map(({ version }) => version),
    ['1'],
  )
  t.match(await registry.broken('colours'), [
    { version: '3', reason: 'model.json is not JSON' },
    { version: '4', reason: 'model.onnx is missing' },
    { version: '5', reason: 'model.json states no digest' },
    { version: '6', reason: 'model.json is no file' },
    { version: '7', reason: /ELOOP/ },
  ])
  t.match(await registry.get('colours', '1'), { version: '1' })
  t.equal(await registry.fetch('colours', '1'), join(models, 'colours/1'))
  t.same(await registry.models(), ['colours'])
  await refused(t, registry.get('colours', '2'), 'version_not_found', /no version "2"/)
  await refused(t, registry.get('colours', '3'), 'invalid_manifest', /colours\/3: model\.json is not JSON/)
  await refused(t, registry.fetch('colours', '4'), 'missing_file', /colours\/4: model\.onnx is missing/)
  await refused(t, registry.get('colours', '6'), 'missing_file', /colours\/6: model\.json is no file/)
  await refused(t, registry.get('colours', '7'), 'missing_file', /colours\/7: .*ELOOP/)
  const next = await registry.register('colours', await trained(t, 'b'), ADA)
  t.match(next, { created: true, version: { version: '8' } }, 'their numbers are taken')
})

t.test('a model of which nothing can be used is listed with why', async t => {
  const { registry, models } = open(t)
  await mkdir(join(models, 'colours/4'), { recursive: true })
  await refused(t, registry.versions('colours'), 'model_not_found', /colours/)
  t.same(await registry.models(), [])
  await writeFile(join(models, 'colours/4/model.json'), '{')
  t.same(await registry.models(), ['colours'])
  t.same(await registry.versions('colours'), [])
  t.match(await registry.broken('colours'), [{ version: '4' }])
  t.same(await registry.aliases('colours'), {})
})

t.test('a model whose folder cannot be read takes nothing from other models', async t => {
  const { registry, models } = open(t)
  await registry.register('colours', await trained(t, 'a'), ADA)
  await symlink('shades', join(models, 'shades')) // leads nowhere but to itself
  t.same((await registry.models()).toSorted(), ['colours', 'shades'])
  t.same(await registry.versions('shades'), [])
  t.match(await registry.broken('shades'), [{ version: '*', reason: /ELOOP/ }])
  await refused(t, registry.get('shades', '1'), 'missing_file', /shades\/1: .*ELOOP/)
})

t.test(
  'a version whose folder was taken away is said to be gone, also where an alias leads to it',
  async t => {
    const { registry, models } = open(t)
    for (const change of ['a', 'b', 'c']) await registry.register('colours', await trained(t, change), ADA)
    for (const version of ['1', '3']) await rm(join(models, 'colours', version), { recursive: true })
    await refused(
      t,
      registry.get('colours', '3'),
      'version_not_found',
      /version 3 of colours .*colours\/3 is gone/,
    )
    await refused(t, registry.fetch('colours', '1'), 'version_not_found', /colours\/1 is gone/)
    t.match(await registry.broken('colours'), [
      { version: '3', reason: /folder is gone, and development still points at it/ },
    ])
    await registry.setAlias('colours', 'development', '2', { actor: 'ada', reason: 'seen serving' })
    t.same(await registry.broken('colours'), [], 'what nothing leads to was removed by somebody who meant it')
  },
)

t.test('what another process left half-copied is removed at the start, and only that', async t => {
  const { models, dir } = open(t)
  const [gone, ours, living] = ['4194303', process.pid, process.ppid].map(pid =>
    join(models, `.arriving-${pid}-00`),
  )
  for (const folder of [gone, ours, living]) await mkdir(join(folder ?? '', 'x'), { recursive: true })
  open(t, dir)
  t.same(
    [gone, ours, living].map(folder => existsSync(folder ?? '')),
    [false, false, true],
  )
})

const FILE_WORK = ['take', 'seal', 'place'] as const

t.test('on a full disk a registration is refused, and nothing of it is kept', async t => {
  const { store, models, registry } = open(t)
  await registry.register('colours', await trained(t, 'a'), ADA)
  const source = await trained(t, 'b')
  for (const code of ['ENOSPC', 'EDQUOT']) {
    for (const work of FILE_WORK) {
      const full = async () => Promise.reject(Object.assign(new Error(work), { code }))
      const folder: ModelFolder = { ...createModelFolder(models), [work]: full }
      const filling = createLocalRegistry({ folder, store, audit: createAudit(store), clock: systemClock })
      await refused(t, filling.register('colours', source, ADA), 'insufficient_storage', /does not fit/)
      t.same(await readdir(models), ['colours'])
      t.same(await readdir(join(models, 'colours')), ['1'])
    }
  }
})

t.test('a full database is as good as a full disk: what cannot be recorded is not kept', async t => {
  const { store, models, registry } = open(t)
  await registry.register('colours', await trained(t, 'a'), ADA)
  const source = await trained(t, 'b')
  const wordy = { actor: 'x'.repeat(40_000) } // takes pages in the note, in the row and in the audit
  const now = Number(store.db.prepare('PRAGMA page_count').get()?.['page_count'])
  let pages = now
  for (; pages < now + 100; pages++) {
    store.db.exec(`PRAGMA max_page_count = ${pages}`)
    const error = await registry.register('colours', source, wordy).then(
      () => undefined,
      (refusal: unknown) => refusal,
    )
    if (error === undefined) break
    t.match(error, { code: 'insufficient_storage' })
    t.same(await readdir(models), ['colours'])
    t.same(await readdir(join(models, 'colours')), ['1'], `with ${pages - now} pages more`)
    t.same(await registry.aliases('colours'), { development: '1' })
  }
  t.ok(pages > now + 3, 'it was full at the note and at the record')
  t.match(await registry.get('colours', '2'), { registeredBy: wordy.actor })
})

t.test(
  'a registration that is killed anywhere is complete or has left nothing, and can be repeated',
  async t => {
    const moments: readonly Moment[] = ['before', 'inside', 'after']
    const ends = new Set<string>()
    let effects = 1
    for (let effect = 1; effect <= effects; effect++) {
      for (const moment of moments) {
        const dir = temporary(t)
        const names = await killed(t, dir, { effect, moment })
        effects = Math.max(effects, names.length)
        const isFirst = !existsSync(join(dir, 'models/colours'))
        const { registry, audit, store, models } = open(t, dir)
        const name = `${moment} effect ${effect}, ${names[effect - 1]}`
        const ended = isFirst ? 'nothing' : 'complete'
        ends.add(ended)
        if (isFirst) t.same(await registry.models(), [], name)
        else t.same(await registry.aliases('colours'), { development: '1' }, name)
        t.equal(audit.list().length, isFirst ? 0 : 1, 'the record of exactly what happened')
        const source = await trained(t, 'a')
        const again = await registry.register('colours', source, ADA)
        t.match(again, { created: isFirst, version: { version: '1', registeredBy: 'ada' } })
        t.equal(audit.list().length, 1)
        t.same(await readdir(models), ['colours'], 'no leftovers')
        t.same(
          await readFile(join(models, 'colours/1/model.onnx')),
          await readFile(join(source, 'model.onnx')),
        )
        t.equal(store.db.prepare('SELECT count(*) AS n FROM model_arrivals').get()?.['n'], 0)
      }
    }
    t.equal(effects, 6, 'take, seal, the number, place, the record, drop')
    t.same([...ends].toSorted(), ['complete', 'nothing'])
  },
)

/** Registers as a process does that dies there; what it would have done, by name. */
async function killed(t: Test, dir: string, kill: Kill): Promise<readonly string[]> {
  const mortality = createMortality()
  const real = openStore(join(dir, 'state'))
  const store = mortality.through('store', real)
  const folder = mortality.through('folder', createModelFolder(join(dir, 'models')))
  const registry = createLocalRegistry({ folder, store, audit: createAudit(store), clock: systemClock })
  const source = await trained(t, 'a')
  mortality.arm(kill)
  await registry.register('colours', source, ADA).catch((error: Error) => {
    if (!mortality.dead()) throw error
  })
  real.close()
  return mortality.effects()
}
