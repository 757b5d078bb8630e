import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { parseExits } from '../../controller/runtime/exit-log.ts'
import { createProcessRuntime } from '../../controller/runtime/processes.ts'
import { openStore } from '../../controller/store.ts'
import { systemClock } from '../../lib/clock.ts'
import { createLog } from '../../lib/log.ts'
import { isAlive } from '../../lib/shutdown.ts'
import { until } from '../helpers/until.ts'
import { writeCustomFolder } from '../serving/custom-folder.ts'
import { writeModelFolder } from '../serving/model-folder.ts'
import { localRegistry } from './local-registry.ts'

// Servers that take more memory than they may and do nothing about it, seen and killed from outside: real processes.

const LIMIT_MS = 40_000
const MIB = 2 ** 20
const skip = process.platform === 'linux' ? false : 'memory of other processes is told on Linux'

/** Answers, grows without end once it is asked to predict, and does not heed SIGTERM. */
const GROWING = `
import { createServer } from 'node:http'
process.on('SIGTERM', () => {})
const held = []
createServer((request, response) => {
  response.end('{}')
  if (request.url === '/score') setInterval(() => held.push(Buffer.alloc(20e6, 1)), 100)
}).listen(Number(process.env.PORT), '127.0.0.1')
`

function createWorld(t: Test, modelsDir: string) {
  const stateDir = join(t.testdirName, 'state')
  const store = openStore(stateDir)
  const registry = localRegistry(modelsDir, store)
  const runtime = createProcessRuntime({
    store,
    registry,
    stateDir,
    host: '127.0.0.1',
    firstPort: 20_100,
    clock: systemClock,
    log: createLog('test', 'silent'),
    ownerPid: process.pid,
  })
  const stop = new AbortController()
  const supervision = runtime.supervise(stop.signal)
  t.teardown(async () => {
    stop.abort()
    await supervision
    await runtime.stopAll()
    store.close()
  })
  const pids = store.db.prepare('SELECT pid FROM processes WHERE deployment = ?')
  return { runtime, registry, pidOf: (id: string) => Number(pids.get(id)?.['pid'] ?? 0) }
}

type World = ReturnType<typeof createWorld>

const ready = ({ runtime }: World) =>
  until('ready', LIMIT_MS, async () => {
    const status = await runtime.status('a')
    return status.kind === 'ready' && status
  })

const firstExit = ({ runtime }: World) =>
  until('an exit', LIMIT_MS, async () => (await runtime.facts('a'))?.exits[0] ?? false)

async function growing(t: Test) {
  const folder = await writeCustomFolder(t.testdir(), {
    files: { 'server.mjs': GROWING },
    manifest: { memoryLimitMiB: 150 },
  })
  const world = createWorld(t, dirname(dirname(folder)))
  await world.runtime.deploy({ id: 'a', version: await world.registry.get('custom', '1') })
  const { endpoints } = await ready(world)
  const grow = async () => {
    const answer = await fetch(`${endpoints[0]}/predict`, { method: 'POST', body: 'x' })
    await answer.arrayBuffer()
  }
  return { world, grow, commandPid: childOf(world.pidOf('a'), 'server.mjs') }
}

function childOf(parent: number, program: string): number {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' }).split('\n')
  const row = rows.find(line => Number(line.trim().split(/\s+/)[1]) === parent && line.includes(program))
  return Number.parseInt(row ?? '0', 10)
}

t.test(
  'a command that grows and heeds no signal is killed although the server before it hangs',
  { skip },
  async t => {
    const { world, grow, commandPid } = await growing(t)
    const serverPid = world.pidOf('a')
    await grow()
    process.kill(serverPid, 'SIGSTOP')
    const exit = await firstExit(world)
    t.match(exit, {
      pid: serverPid,
      cause: 'memory-limit',
      signal: 'SIGKILL',
      limitBytes: 150 * MIB,
      reason: /over the limit of 150 \(memoryLimitMiB in model\.json\) for 5 s/,
    })
    t.ok((exit.peakBytes ?? 0) > 150 * MIB)
    await until('both have ended', LIMIT_MS, async () => !isAlive(serverPid) && !isAlive(commandPid))
    await ready(world)
    t.not(world.pidOf('a'), serverPid, 'it is started again')
    t.equal((await world.runtime.facts('a'))?.exits.length, 1, 'told once')
    const { items } = await world.runtime.logs('custom', '1')
    t.equal(parseExits(items.map(({ text }) => text).join('\n')).length, 1)
  },
)

t.test(
  'a command that grows and heeds no signal is killed at once by the server before it',
  { skip },
  async t => {
    const { world, grow, commandPid } = await growing(t)
    const serverPid = world.pidOf('a')
    await grow()
    const exit = await firstExit(world)
    t.match(exit, { pid: commandPid, cause: 'memory-limit', limitBytes: 150 * MIB })
    await until('the command has ended', 5000, async () => !isAlive(commandPid))
    t.equal(world.pidOf('a'), serverPid, 'the server goes on')
  },
)

t.test(
  'a model server that hangs over what its environment allows is killed, and says whose limit it was',
  { skip },
  async t => {
    const world = createWorld(t, dirname(dirname(await writeModelFolder(t.testdir()))))
    await world.runtime.deploy({ id: 'a', version: await world.registry.get('model', '1') })
    await ready(world)
    const pid = world.pidOf('a')
    process.kill(pid, 'SIGSTOP')
    world.runtime.limitMemory('a', 32)
    t.match(await firstExit(world), {
      pid,
      cause: 'memory-limit',
      limitBytes: 32 * MIB,
      reason: /over the limit of 32 \(memoryLimitMiB in environments\.yaml\)/,
    })
    await until('it has ended', LIMIT_MS, async () => !isAlive(pid))
    world.runtime.limitMemory('a', null)
    await ready(world)
  },
)
