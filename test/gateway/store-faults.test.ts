import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type Test } from 'tap'
import { findProgram } from '../helpers/programs.ts'
import { startGateway } from './gateway-process.ts'
import { eventually, namedUpstream, send, twoVariants } from './harness.ts'

// What can happen to the files of the policy store while the gateway runs. The last good policy stays in force; the fault is told
// in /readyz, by a metric and in the log; and the next change mends it.

type Gateway = Awaited<ReturnType<typeof startGateway>>

const TO_STABLE = { weights: { stable: 100, candidate: 0 } }
const FAULT_LIMIT_MS = 15_000 // where a watch misses something, looking again finds it

/** A gateway that sends everything to the candidate. */
async function start(t: Test, options: Parameters<typeof startGateway>[2] = {}) {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  const policy = twoVariants(stable, candidate)
  const gateway = await startGateway(t, [policy], options)
  const folder = join(gateway.stateDir, 'policies')
  return { gateway, policy, folder, file: join(folder, 'food11.json') }
}

async function faultsOf({ operator }: Gateway): Promise<Record<string, string>> {
  const response = await fetch(`${operator}/readyz`)
  const body = (await response.json()) as { policy_faults?: Record<string, string> }
  if (response.status !== 200 || body.policy_faults === undefined)
    throw new Error(`readyz: ${response.status} ${JSON.stringify(body)}`)
  return body.policy_faults
}

const isHealthy = async (gateway: Gateway) => (await gateway.total('weir_policy_store_healthy')) === 1

/** The fault is known everywhere, and requests go on by `text`'s policy at this version. */
async function survives(t: Test, gateway: Gateway, expected: { text: string; version: number }) {
  t.ok(await eventually(async () => !(await isHealthy(gateway)), FAULT_LIMIT_MS), 'the metric tells')
  t.match(Object.keys(await faultsOf(gateway)), ['food11'], '/readyz tells')
  for (let n = 0; n < 5; n++) t.match(await send(gateway.port), { status: 200, text: expected.text })
  t.equal((await gateway.client.route('food11')).version, expected.version)
}

async function mends(t: Test, gateway: Gateway, version: number): Promise<void> {
  const { applied, version: now } = await gateway.client.patchRoute('food11', TO_STABLE)
  t.match({ applied, now }, { applied: true, now: version })
  t.ok(await eventually(() => isHealthy(gateway)))
  t.same(await faultsOf(gateway), {})
  t.match(await send(gateway.port), { text: 'stable' })
}

const DAMAGES: Record<string, (file: string) => Promise<void>> = {
  deleted: file => rm(file),
  truncated: async file => writeFile(file, (await readFile(file, 'utf8')).slice(0, 40)),
  emptied: file => writeFile(file, ''),
  'filled with garbage': file => writeFile(file, Buffer.from([0xff, 0x00, 0x7b, 0x0a])),
  'replaced by a policy with an unknown setting': async file => {
    const stored = JSON.parse(await readFile(file, 'utf8'))
    await writeFile(file, JSON.stringify({ ...stored, policy: { ...stored.policy, wieghts: {} } }))
  },
}

test('a policy file that is deleted, truncated, emptied or filled with garbage: the last good policy stays, the fault is visible, the next change mends it', async t => {
  const { gateway, file } = await start(t)
  let version = 1
  for (const [name, damage] of Object.entries(DAMAGES)) {
    t.comment(name)
    await damage(file)
    await survives(t, gateway, { text: 'candidate', version })
    await mends(t, gateway, version + 1)
    await gateway.client.patchRoute('food11', { weights: { stable: 0, candidate: 100 } })
    version += 2
    t.match(JSON.parse(await readFile(file, 'utf8')), { version })
  }
  t.match(await gateway.output(), /the last good policy stays in force/)
})

/** Root may write whatever the permissions say, unless it runs without that right. */
function withoutRootRights(): { runBy: readonly string[] } | { skip: string } {
  if (process.getuid?.() !== 0) return { runBy: [] }
  const setpriv = findProgram('setpriv')
  return 'skip' in setpriv ? setpriv : { runBy: [setpriv.path, '--bounding-set=-dac_override', '--'] }
}

const unprivileged = withoutRootRights()

test(
  'a store that is read-only: a change is refused and changes nothing, requests go on, and once it can be written again all is well',
  {
    ...('skip' in unprivileged && { skip: unprivileged.skip }),
  },
  async t => {
    const { gateway, folder, file } = await start(t, 'runBy' in unprivileged ? unprivileged : {})
    const stored = await readFile(file, 'utf8')
    t.teardown(() => chmod(folder, 0o755).catch(() => undefined)) // else the folder of the test could not be cleared
    await chmod(folder, 0o555)
    const change = gateway.client.patchRoute('food11', TO_STABLE)
    await t.rejects(change, { code: 'insufficient_storage', message: /EACCES/ })
    t.equal(await readFile(file, 'utf8'), stored)
    await survives(t, gateway, { text: 'candidate', version: 1 })
    await chmod(folder, 0o755)
    await mends(t, gateway, 2)
  },
)

test('a policy file that is read-only is replaced by a change all the same', async t => {
  const { gateway, file } = await start(t)
  await chmod(file, 0o444)
  await mends(t, gateway, 2)
})

test('a store whose folder is gone: requests go on, changes are refused, the fault is visible', async t => {
  const { gateway, folder } = await start(t)
  await rm(folder, { recursive: true })
  await survives(t, gateway, { text: 'candidate', version: 1 })
  await t.rejects(gateway.client.patchRoute('food11', TO_STABLE), { code: 'insufficient_storage' })
  t.match(await send(gateway.port), { text: 'candidate' })
})

test('a policy file changed by hand, in place or by renaming another over it, comes into force as a new version', async t => {
  const { gateway, policy, file } = await start(t)
  const write = (path: string, weights: object) =>
    writeFile(path, JSON.stringify({ version: 1, epoch: 1, policy: { ...policy, weights } }))
  await write(file, { stable: 100, candidate: 0 })
  t.ok(await eventually(async () => (await send(gateway.port)).text === 'stable', FAULT_LIMIT_MS))
  t.equal((await gateway.client.route('food11')).version, 2)
  await write(`${file}.new`, { stable: 0, candidate: 100 })
  await rename(`${file}.new`, file)
  t.ok(await eventually(async () => (await send(gateway.port)).text === 'candidate', FAULT_LIMIT_MS))
  t.equal((await gateway.client.route('food11')).version, 3)
  t.match(await gateway.client.status('food11'), { version: 3, workers: [{ version: 3 }] })
  t.same(await faultsOf(gateway), {})
})

test('a new route may be laid into the folder by hand, even when the folder itself was replaced; one that cannot be used is told', async t => {
  const { gateway, policy, folder, file } = await start(t)
  const kept = await readFile(file, 'utf8')
  await rename(folder, `${folder}.old`)
  await mkdir(folder)
  await writeFile(file, kept)
  const added = {
    ...policy,
    name: 'added',
    match: { pathPrefix: '/added' },
    weights: { stable: 100, candidate: 0 },
  }
  await writeFile(join(folder, 'added.json'), JSON.stringify({ version: 1, epoch: 1, policy: added }))
  await writeFile(join(folder, 'broken.json'), '{')
  const text = async () => (await send(gateway.port, { path: '/added' })).text
  t.ok(await eventually(async () => (await text()) === 'stable', FAULT_LIMIT_MS))
  t.ok(await eventually(async () => 'broken' in (await faultsOf(gateway)), FAULT_LIMIT_MS))
  await rm(join(folder, 'broken.json'))
  t.ok(await eventually(async () => !('broken' in (await faultsOf(gateway))), FAULT_LIMIT_MS))
})
