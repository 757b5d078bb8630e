import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t from 'tap'
import type { EnvironmentName, EnvironmentView } from '../../contract/environment.ts'
import { json, listen } from '../controller/small-gateway.ts'
import { until } from '../helpers/until.ts'
import { colourClassifier } from '../serving/tiny-onnx.ts'
import { doneIn, lastSeq, trailOf } from './audit-trail.ts'
import {
  checkEnvironmentDeaths,
  CLOSED,
  FOLLOWED,
  HELD,
  LED_ELSEWHERE,
  NEVER_READY,
  NEVER_SEEN,
  PROMOTED,
  REVERTED,
  ROLLED_BACK,
} from './environment-deaths.ts'
import { MODEL, QUICK, startMortalStack, variation } from './mortal-stack.ts'

// Environments by hand on real processes, while users send photos all the time, and a controller that is killed (kill -9) before
// and after the commit of each transition of an environment.

t.setTimeout(400_000)

const LIMIT_MS = 120_000
const LIMIT = { timeout: LIMIT_MS }
const BY_HAND = `${QUICK}onRegistration: false\n`
const FAILING = `onRegistration: false
gates:
  integration: false
  resources: false
  load: false
  quality: false
  commands: [{ name: ours, argv: ${JSON.stringify([process.execPath, '-e', 'process.exit(1)'])} }]
`
const FORCED = { force: true, reason: 'no gates in this test' }

const stack = await startMortalStack(t, 'environments')
const { ask, askOnce, life } = stack
const deaths = (of: string, transitions: readonly string[]) => ({ of, transitions })

async function settled(name: EnvironmentName, version: string | undefined): Promise<EnvironmentView> {
  return until(`${name} runs ${version ?? 'nothing'}`, LIMIT_MS, async () => {
    const view = await stack.environment(name)
    const runs = view.deploying === null && view.current?.version === version
    return runs && view.health === (version === undefined ? 'stopped' : 'healthy') && view
  })
}

/** A version whose manifest alone tells it from the others. */
async function registered(memoryLimitMiB: number): Promise<string> {
  return stack.register(variation({ manifest: { memoryLimitMiB } }))
}

async function promote(to: EnvironmentName, version: string): Promise<void> {
  const from = to === 'staging' ? ('development' as const) : ('staging' as const)
  await askOnce(async client => client.promoteVersion(to, { from, version, ...FORCED }))
}

/** Nothing can be loaded from it any more. */
async function damage(version: string): Promise<void> {
  await writeFile(join(stack.models, version, 'model.onnx'), colourClassifier({ classes: 4 }))
}

t.test('what served users when it began was followed', LIMIT, async t => {
  await stack.writePipeline(BY_HAND)
  checkEnvironmentDeaths(t, life.deaths(), deaths('production-r1', FOLLOWED))
})

t.test('a first version that fails its gates leaves staging stopped', LIMIT, async t => {
  await stack.writePipeline(FAILING)
  const version = await registered(401)
  const { id } = await ask(async client => client.startPipeline(MODEL, version))
  t.match(await stack.ends(id), { phase: 'Failed', message: /staging is stopped/ })
  await settled('staging', undefined)
  checkEnvironmentDeaths(t, life.deaths(), deaths('staging-r1', [...PROMOTED, ...CLOSED]))
  await stack.failed(version)
  await stack.writePipeline(BY_HAND)
})

const good = await registered(402)

t.test('a version is promoted to staging, and its gates are run by hand', LIMIT, async t => {
  const seq = await ask(lastSeq)
  await promote('staging', good)
  t.match(await settled('staging', good), { current: { revision: 2 } })
  checkEnvironmentDeaths(t, life.deaths(), deaths('staging-r2', PROMOTED))
  const done = await ask(async client => doneIn(client, 'staging', seq))
  t.same(done, ['promote', 'switching', 'aliasing', 'deployed'].toSorted(), 'each once')
  await askOnce(async client => client.runGates('staging', {}))
  await until('its gates pass', LIMIT_MS, async () => (await stack.environment('staging')).current?.good)
})

t.test('it is promoted to production, and rolled back', LIMIT, async t => {
  await promote('production', good)
  t.match(await settled('production', good), { current: { revision: 2 } })
  checkEnvironmentDeaths(t, life.deaths(), deaths('production-r2', PROMOTED))
  await askOnce(async client => client.rollbackEnvironment('production', { reason: 'users complain' }))
  const view = await settled('production', '1')
  t.equal(view.history.filter(({ how }) => how === 'rollback').length, 1, 'once')
  checkEnvironmentDeaths(t, life.deaths(), deaths('production-r3', ROLLED_BACK))
  const { aliases } = await ask(async client => client.modelVersion(MODEL, '1'))
  t.ok(aliases.includes('production'))
})

t.test('what fails its gates is reverted to what was good', LIMIT, async t => {
  await stack.writePipeline(FAILING)
  const version = await registered(403)
  const { id } = await ask(async client => client.startPipeline(MODEL, version))
  t.match(await stack.ends(id), { phase: 'Failed' })
  await settled('staging', good)
  checkEnvironmentDeaths(t, life.deaths(), deaths('staging-r3', PROMOTED))
  checkEnvironmentDeaths(t, life.deaths(), deaths('staging-r4', REVERTED))
  t.same((await stack.failed(version)).aliases, [])
  const { aliases } = await ask(async client => client.modelVersion(MODEL, good))
  t.ok(aliases.includes('staging'))
})

t.test('a version whose files are damaged on its way changes nothing', LIMIT, async t => {
  const version = await registered(404)
  life.onDeath('after staging-r5: promote begins', async () => damage(version))
  await promote('staging', version)
  const view = await settled('staging', good)
  t.match(view.history[0], { version, verifiedAt: null, failure: /integration: it refuses to serve/ })
  checkEnvironmentDeaths(t, life.deaths(), deaths('staging-r5', NEVER_READY))
})

t.test('a version that dies when it was switched to is left again', LIMIT, async t => {
  const version = await registered(405)
  life.onDeath('after staging-r6: starting → switching', async () => {
    await damage(version)
    killDeployment(`${MODEL}-staging-r6`)
  })
  await promote('staging', version)
  const view = await settled('staging', good)
  t.match(view.history[0], { version, verifiedAt: null, failure: /was not seen within 30 s/ })
  checkEnvironmentDeaths(t, life.deaths(), deaths('staging-r6', NEVER_SEEN))
})

/** While no controller lives that could start it again. */
function killDeployment(id: string): void {
  const db = new DatabaseSync(join(stack.state, 'controller.db'), { readOnly: true })
  const rows = db.prepare('SELECT pid FROM processes WHERE deployment = ?').all(id)
  db.close()
  if (rows.length === 0) throw new Error(`${id} has no process`)
  for (const { pid } of rows) process.kill(Number(pid), 'SIGKILL')
}

t.test('a route that is led elsewhere and back is followed no further', LIMIT, async t => {
  const { policy } = await stack.gateway.route(MODEL)
  const staged = await stack.gateway.route(`${MODEL}-staging`)
  const stable = policy.variants['stable']
  life.onDeath('after production-r4: follow begins', async () => {
    await stack.gateway.patchRoute(MODEL, { variants: { stable } })
  })
  await stack.gateway.patchRoute(MODEL, { variants: { stable: staged.policy.variants['staging'] } })
  await until('it is followed', LIMIT_MS, async () =>
    life.deaths().includes('after production-r4: follow begins'),
  )
  t.match(await settled('production', '1'), { current: { revision: 3 } })
  await until('the next one knows', LIMIT_MS, async () =>
    life.deaths().includes('after production-r4: follow → given up'),
  )
  checkEnvironmentDeaths(t, life.deaths(), deaths('production-r4', LED_ELSEWHERE))
})

t.test('a candidate that is no version is not followed', LIMIT, async t => {
  const says = { model: MODEL, model_version: '99', digest: `sha256:${'9'.repeat(64)}` }
  const endpoint = await listen(t, (_, response) => json(response, says))
  await stack.gateway.patchRoute(MODEL, { variants: { candidate: { endpoints: [endpoint] } } })
  const view = await until('it is told', LIMIT_MS, async () => {
    const seen = await stack.environment('canary')
    return /calls itself version 99/.test(seen.message) && seen
  })
  t.match(view, { current: null, deploying: null })
  checkEnvironmentDeaths(t, life.deaths(), deaths('canary-r0', HELD))
  const told = await ask(async client => trailOf(client, 'environment/canary'))
  t.equal(told.filter(({ action }) => action === 'not-followed').length, 1)
  await stack.gateway.patchRoute(MODEL, { variants: { candidate: { endpoints: [] } } })
})

t.test('no user noticed, and the audit is as it was written', async t => {
  await stack.checkUsers(t)
})
