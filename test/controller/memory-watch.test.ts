import { execFileSync } from 'node:child_process'
import { dirname } from 'node:path'
import t, { type Test } from 'tap'
import { parseExits } from '../../controller/runtime/exit-log.ts'
import { isAlive } from '../../lib/shutdown.ts'
import { until } from '../helpers/until.ts'
import { writeCustomFolder } from '../serving/custom-folder.ts'
import { writeModelFolder } from '../serving/model-folder.ts'
import { createRuntimeWorld } from './runtime-world.ts'

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

const FIRST_PORT = 20_100

async function growing(t: Test) {
  const folder = await writeCustomFolder(t.testdir(), {
    files: { 'server.mjs': GROWING },
    manifest: { memoryLimitMiB: 150 },
  })
  const world = createRuntimeWorld(t, { modelsDir: dirname(dirname(folder)), firstPort: FIRST_PORT })
  const control = world.supervised()
  const { runtime, registry, pidOf } = control
  await runtime.deploy({ id: 'a', version: await registry.get('custom', '1') })
  const { endpoints } = await control.ready('a')
  const grow = async () => {
    const answer = await fetch(`${endpoints[0]}/predict`, { method: 'POST', body: 'x' })
    await answer.arrayBuffer()
  }
  return { control, grow, commandPid: childOf(pidOf('a'), 'server.mjs') }
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
    const { control, grow, commandPid } = await growing(t)
    const { runtime, pidOf } = control
    const serverPid = pidOf('a')
    await grow()
    process.kill(serverPid, 'SIGSTOP')
    const [exit] = await control.exits('a')
    t.match(exit, {
      pid: serverPid,
      cause: 'memory-limit',
      signal: 'SIGKILL',
      limitBytes: 150 * MIB,
      reason: /over the limit of 150 \(memoryLimitMiB in model\.json\) for 5 s/,
    })
    t.ok((exit?.peakBytes ?? 0) > 150 * MIB)
    await until('both have ended', LIMIT_MS, async () => !isAlive(serverPid) && !isAlive(commandPid))
    await control.ready('a')
    t.not(pidOf('a'), serverPid, 'it is started again')
    t.equal((await runtime.facts('a'))?.exits.length, 1, 'told once')
    const { items } = await runtime.logs('custom', '1')
    t.equal(parseExits(items.map(({ text }) => text).join('\n')).length, 1)
  },
)

t.test(
  'a command that grows and heeds no signal is killed at once by the server before it',
  { skip },
  async t => {
    const { control, grow, commandPid } = await growing(t)
    const { pidOf } = control
    const serverPid = pidOf('a')
    await grow()
    const [exit] = await control.exits('a')
    t.match(exit, { pid: commandPid, cause: 'memory-limit', signal: 'SIGKILL', limitBytes: 150 * MIB })
    await until('the command has ended', 5000, async () => !isAlive(commandPid))
    t.equal(pidOf('a'), serverPid, 'the server goes on')
  },
)

t.test(
  'a model server that hangs over what its environment allows is killed, and says whose limit it was',
  { skip },
  async t => {
    const modelsDir = dirname(dirname(await writeModelFolder(t.testdir())))
    const control = createRuntimeWorld(t, { modelsDir, firstPort: FIRST_PORT }).supervised()
    const { runtime, registry, pidOf } = control
    await runtime.deploy({ id: 'a', version: await registry.get('model', '1') })
    await control.ready('a')
    const pid = pidOf('a')
    process.kill(pid, 'SIGSTOP')
    runtime.limitMemory('a', 32)
    t.match((await control.exits('a'))[0], {
      pid,
      cause: 'memory-limit',
      limitBytes: 32 * MIB,
      reason: /over the limit of 32 \(memoryLimitMiB in environments\.yaml\)/,
    })
    await until('it has ended', LIMIT_MS, async () => !isAlive(pid))
    runtime.limitMemory('a', null)
    await control.ready('a')
  },
)
