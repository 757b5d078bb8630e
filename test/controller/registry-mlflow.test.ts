import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { WeirError } from '../../contract/errors.ts'
import { createAudit } from '../../controller/audit.ts'
import { createMlflowApi, type MlflowApi } from '../../controller/registry/mlflow-api.ts'
import { createMlflowModels } from '../../controller/registry/mlflow-models.ts'
import { parseMlflowNames } from '../../controller/registry/mlflow-names.ts'
import { createMlflowRegistry } from '../../controller/registry/mlflow.ts'
import { createModelFolder } from '../../controller/registry/model-folder.ts'
import { openStore } from '../../controller/store.ts'
import { systemClock } from '../../lib/clock.ts'
import { findMlflow, startMlflow } from '../helpers/mlflow.ts'
import { colourManifest, writeModelFolder } from '../serving/model-folder.ts'
import { createMortality, type Kill, type Moment } from './mortality.ts'
import { refused, registrySuite, temporary, trained } from './registry-suite.ts'

t.setTimeout(1_800_000) // MLflow may have to be installed first

const ADA = { actor: 'ada' }
const SEEN = { actor: 'ada', reason: 'seen serving' }
const found = await findMlflow()

t.test('against a real MLflow server', { skip: 'skip' in found && found.skip }, async t => {
  if ('skip' in found) return
  const { url, artifacts } = await startMlflow(t, found.python)
  let opened = 0

  /** A registry whose models are its own among those of the server. */
  function open(
    t: Test,
    {
      names = `t${++opened}.{model}`,
      dir = temporary(t),
      mortality = createMortality(),
      through = (api: MlflowApi) => api,
    } = {},
  ) {
    const store = openStore(join(dir, 'state'))
    t.teardown(() => store.close())
    const registry = createMlflowRegistry({
      api: mortality.through('mlflow', through(createMlflowApi({ baseUrl: url, timeoutMs: 60_000 }))),
      names: parseMlflowNames(names),
      cache: createModelFolder(join(dir, 'cache')),
      store: mortality.through('store', store),
      audit: createAudit(store),
      clock: systemClock,
    })
    return { registry, audit: createAudit(store), store, names, dir }
  }

  const ask = async (path: string, query: Record<string, string>) => {
    const response = await fetch(`${url}/api/2.0/mlflow/${path}?${new URLSearchParams(query)}`)
    return (await response.json()) as Record<string, Record<string, unknown>>
  }

  const runsOf = async (name: string) => {
    const { experiment } = await ask('experiments/get-by-name', { experiment_name: 'weir' })
    const filter = `attributes.run_name = '${name}'`
    const body = JSON.stringify({ experiment_ids: [experiment?.['experiment_id']], filter })
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(`${url}/api/2.0/mlflow/runs/search`, { method: 'POST', headers, body })
    const { runs = [] } = (await response.json()) as { runs?: { info: { status: string } }[] }
    return runs.map(({ info }) => info.status)
  }

  registrySuite(t, async t => open(t))

  t.test('MLflow has the version under the configured name, with its alias, digest and accuracy', async t => {
    const { registry } = open(t, { names: 'colours=Colours Of The Team' })
    const accuracy = { 'photos/test': { top1: 0.5, balanced: 0.25, photos: 8 } }
    const source = await writeModelFolder(temporary(t), { manifest: colourManifest({ accuracy }) })
    const { version } = await registry.register('colours', source, ADA)
    await registry.setAlias('colours', 'staging', '1', SEEN)
    await registry.markFailed('colours', '1', { actor: 'pipeline', reason: 'slow at load' })
    const byAlias = { name: 'Colours Of The Team', alias: 'staging' }
    const { model_version: there } = await ask('registered-models/alias', byAlias)
    t.match(there, { version: '1', aliases: ['development', 'staging'] })
    const tags = there?.['tags'] as { key: string; value: string }[]
    t.same(Object.fromEntries(tags.map(({ key, value }) => [key, value])), {
      'weir.digest': version.digest,
      'weir.registered_by': 'ada',
      'weir.failed': 'slow at load',
    })
    const { run } = await ask('runs/get', { run_id: String(there?.['run_id']) })
    t.match(run, { info: { status: 'FINISHED' } })
    const { metrics } = Object(run?.['data']) as { metrics: { key: string; value: number }[] }
    t.same(Object.fromEntries(metrics.map(({ key, value }) => [key, value])), {
      'photos/test.top1': 0.5,
      'photos/test.balanced': 0.25,
      'photos/test.photos': 8,
    })
  })

  t.test(
    'another machine downloads the version; what is damaged here is fetched anew, there refused',
    async t => {
      const { registry, names } = open(t)
      const source = await trained(t, 'a')
      await registry.register('colours', source, ADA)
      const { registry: elsewhere } = open(t, { names })
      const folder = await elsewhere.fetch('colours', '1')
      const model = await readFile(join(source, 'model.onnx'))
      t.same(await readFile(join(folder, 'model.onnx')), model)
      await writeFile(join(folder, 'model.onnx'), 'damaged')
      t.equal(await elsewhere.fetch('colours', '1'), folder)
      t.same(await readFile(join(folder, 'model.onnx')), model)

      const { model_version: there } = await ask('model-versions/get', {
        name: names.replace('{model}', 'colours'),
        version: '1',
      })
      const path = /^mlflow-artifacts:\/(.+)$/.exec(String(there?.['source']))?.[1] ?? ''
      await writeFile(join(artifacts, path, 'model.onnx'), 'damaged')
      const { registry: third } = open(t, { names })
      await refused(t, third.fetch('colours', '1'), 'digest_mismatch', /states the digest/)
    },
  )

  t.test('what others keep on the server is none of our versions', async t => {
    const { registry, names } = open(t)
    const name = names.replace('{model}', 'colours')
    const post = async (path: string, body: object) => {
      const headers = { 'content-type': 'application/json' }
      const init = { method: 'POST', headers, body: JSON.stringify(body) }
      t.equal((await fetch(`${url}/api/2.0/mlflow/${path}`, init)).status, 200)
    }
    await post('registered-models/create', { name })
    t.same(await registry.models(), [])
    await refused(t, registry.versions('colours'), 'model_not_found', /colours/)
    await registry.register('colours', await trained(t, 'a'), ADA)
    t.same(await registry.models(), ['colours'])
  })

  t.test('the server chooses the numbers: another one than its next is refused, and takes none', async t => {
    const { registry } = open(t)
    const register = async (version: string) =>
      registry.register('colours', await trained(t, version), { ...ADA, version })
    t.match(await register('1'), { created: true, version: { version: '1' } })
    await refused(t, register('7'), 'version_exists', /would be 2, not 7/)
    t.match(await register('2'), { created: true, version: { version: '2' } })
  })

  t.test('a name with odd characters is a name', async t => {
    const { registry } = open(t, { names: 'colours=Größe & Co? #1 (100 +) [a];=$' })
    const source = await trained(t, 'a')
    const { version } = await registry.register('colours', source, ADA)
    t.same(await registry.versions('colours'), [version])
    t.ok((await registry.models()).includes('colours'))
    await registry.setAlias('colours', 'staging', '1', SEEN)
    t.same(await registry.aliases('colours'), { development: '1', staging: '1' })
    const { registry: elsewhere } = open(t, { names: 'colours=Größe & Co? #1 (100 +) [a];=$' })
    const folder = await elsewhere.fetch('colours', '1')
    t.same(await readFile(join(folder, 'model.onnx')), await readFile(join(source, 'model.onnx')))
  })

  t.test(
    "what is changed in MLflow's own pages is believed, and what is taken from there is said",
    async t => {
      const { registry, names } = open(t)
      for (const change of ['a', 'b']) await registry.register('colours', await trained(t, change), ADA)
      await registry.setAlias('colours', 'production', '1', SEEN)
      const models = createMlflowModels(createMlflowApi({ baseUrl: url }))
      const name = names.replace('{model}', 'colours')
      await models.setAlias(name, 'production', '2')
      t.match(await registry.aliases('colours'), { production: '2' })
      const moved = registry.setAlias('colours', 'production', '1', { ...SEEN, expected: '1' })
      await refused(t, moved, 'precondition_failed', /points at version 2/)
      const there = await models.version(name, '2')
      if (there === undefined) throw new Error('version 2 is not there')
      await models.deleteVersion(there)
      await models.deleteVersion(there) // as a controller does that was killed in between
      await refused(t, registry.get('colours', '2'), 'version_not_found', /no version "2"/)
      t.same(await registry.aliases('colours'), {}, 'MLflow takes its aliases with it')
      t.match(await registry.register('colours', await trained(t, 'c'), ADA), { version: { version: '3' } })
    },
  )

  t.test('a registration that breaks off is taken back, on record, and can be repeated', async t => {
    const source = await trained(t, 'a')
    let calls = 0
    /** The server fails at one call that changes something: the run, model, version, two files, end of the run, digest, alias. */
    const failingAt = (nth: number) => (api: MlflowApi) => {
      let call = 0
      const failing =
        <Args extends unknown[], Result>(work: (...args: Args) => Promise<Result>) =>
        async (...args: Args) => {
          calls = Math.max(calls, ++call)
          if (call === nth) throw new WeirError('registry_unavailable', 'the MLflow server answered 500')
          return work(...args)
        }
      return { ...api, post: failing(api.post) as MlflowApi['post'], upload: failing(api.upload) }
    }
    await open(t, { through: failingAt(0) }).registry.register('colours', source, ADA)
    const whole = calls
    t.equal(whole, 8)
    for (let nth = 1; nth <= whole; nth++) {
      const { registry, audit, names, store } = open(t, { through: failingAt(nth) })
      const told = () => audit.list().map(({ action, subject }) => `${action} ${subject}`)
      const work = registry.register('colours', source, ADA)
      if (nth === whole) {
        t.match(await work, { created: true, version: { version: '1' } }, 'only the alias was missing')
        t.same(await registry.aliases('colours'), { development: '1' })
        continue
      }
      await refused(t, work, 'registry_unavailable', /answered 500/)
      const hadNumber = nth > 3
      const begun = nth === whole - 1 ? ['register colours/1'] : []
      t.same(told(), hadNumber ? ['register-failed colours/1', ...begun] : [], `call ${nth}`)
      if (hadNumber) t.match(audit.list()[0], { actor: 'ada', reason: 'the MLflow server answered 500' })
      t.equal(store.db.prepare('SELECT count(*) AS n FROM model_arrivals').get()?.['n'], 0)
      const name = names.replace('{model}', 'colours')
      t.same(await runsOf(name), [], 'no run is left')
      t.match(await registry.register('colours', source, ADA), { created: true })
      t.same(await runsOf(name), ['FINISHED'])
    }
  })

  t.test('a registration that is killed anywhere is finished or taken back, and can be repeated', async t => {
    const moments: readonly Moment[] = ['before', 'after']
    const source = await trained(t, 'a')
    /** Registers as a process does that dies there, or nowhere; what it did there, by name. */
    const register = async (kill?: Kill) => {
      const mortality = createMortality()
      const { registry, names, dir } = open(t, { mortality })
      mortality.arm(kill)
      await registry.register('colours', source, ADA).catch((error: Error) => {
        if (!mortality.dead()) throw error
      })
      return { effects: mortality.effects(), names, dir }
    }
    const { effects } = await register()
    const before = ['post', 'post', 'post', 'upload', 'upload', 'post'] // run, model, version, files, end of the run
    t.same(effects, [...before, 'transaction', 'post', 'post'], 'and the record, the digest, the alias')
    for (const [index, effect] of effects.entries()) {
      for (const moment of moments) {
        const { names, dir } = await register({ effect: index + 1, moment })
        const { registry: next, audit, store } = open(t, { names, dir })
        await next.settle()
        const name = `${moment} effect ${index + 1}, ${effect}`
        t.equal(store.db.prepare('SELECT count(*) AS n FROM model_arrivals').get()?.['n'], 0, name)
        const { version, created } = await next.register('colours', source, ADA)
        t.same(await next.versions('colours'), [version], 'one version, and nothing beside it')
        t.same(await next.aliases('colours'), { development: version.version })
        const records = audit.list().filter(({ action }) => action === 'register')
        t.ok(records.some(({ subject }) => subject === `colours/${version.version}`))
        if (!created)
          t.same(
            await readFile(join(await next.fetch('colours', version.version), 'model.onnx')),
            await readFile(join(source, 'model.onnx')),
          )
      }
    }
  })
})
