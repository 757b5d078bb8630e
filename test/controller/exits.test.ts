import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { causeOfEnding } from '../../contract/exit-record.ts'
import { parseExits } from '../../controller/runtime/exit-log.ts'
import { createExitWatch } from '../../controller/runtime/exit-watch.ts'
import { systemClock } from '../../lib/clock.ts'
import { createLog } from '../../lib/log.ts'
import { countOomKills } from '../../lib/oom-kills.ts'
import { until } from '../helpers/until.ts'
import { writeCustomFolder } from '../serving/custom-folder.ts'
import { colourManifest, writeModelFolder } from '../serving/model-folder.ts'
import { createRuntimeWorld } from './runtime-world.ts'

// How processes end that nobody asked to end, seen by the runtime: real model servers.

const LIMIT_MS = 30_000
const FIRST_PORT = 19_900

t.test(
  'a process that is killed is a crash, and stays in the record of a controller that starts again',
  async t => {
    const world = createRuntimeWorld(t, {
      modelsDir: dirname(dirname(await writeModelFolder(t.testdir()))),
      firstPort: FIRST_PORT,
    })
    const first = world.supervised()
    const version = await first.registry.get('model', '1')
    await first.runtime.deploy({ id: 'a', version })
    await first.ready('a')
    const facts = await first.runtime.facts('a')
    t.match(facts, { running: true, exits: [] })
    t.ok((facts?.peakBytes ?? 0) > 50e6)
    const pid = first.pidOf('a')
    process.kill(pid, 'SIGKILL')
    const [exit] = await first.exits('a')
    t.match(exit, {
      pid,
      cause: 'crash',
      signal: 'SIGKILL',
      code: null,
      reason: 'ended by SIGKILL',
      limitBytes: null,
    })
    await first.ready('a')
    await first.runtime.deploy({ id: 'b', version })
    await first.ready('b')
    first.runtime.stop('b')
    await until('b is stopped', LIMIT_MS, async () => (await first.runtime.status('b')).kind === 'absent')
    t.equal(await first.runtime.facts('b'), undefined)
    const { items } = await first.runtime.logs('model', '1')
    const ofB = items.filter(({ instance }) => instance === 'b/0').map(({ text }) => text)
    t.ok(ofB.length > 0)
    t.same(parseExits(ofB.join('\n')), [], 'an end that was asked for is none of them')
    await first.end()

    const second = world.supervised()
    t.equal((await second.runtime.facts('a'))?.exits.length, 1)
  },
)

t.test('over its memory limit a version is never ready, and its end tells limit and peak', async t => {
  const manifest = colourManifest({ memoryLimitMiB: 64 })
  const world = createRuntimeWorld(t, {
    modelsDir: dirname(dirname(await writeModelFolder(t.testdir(), { manifest }))),
    firstPort: FIRST_PORT,
  })
  const { runtime, registry } = world.supervised()
  await runtime.deploy({ id: 'a', version: await registry.get('model', '1') })
  const exits = await until('an exit', LIMIT_MS, async () => {
    t.not((await runtime.status('a')).kind, 'ready')
    const { exits: seen = [] } = (await runtime.facts('a')) ?? {}
    return seen.length > 0 && seen
  })
  t.match(exits[0], {
    cause: 'memory-limit',
    code: 1,
    limitBytes: 64 * 2 ** 20,
    reason: /over the limit of 64/,
  })
  t.ok((exits[0]?.peakBytes ?? 0) > 64 * 2 ** 20)
})

t.test('a command that ends again and again is recorded each time', async t => {
  const folder = await writeCustomFolder(t.testdir(), {
    files: { 'crash.sh': 'exit 7\n' },
    server: { command: ['sh', 'crash.sh'] },
  })
  const world = createRuntimeWorld(t, { modelsDir: dirname(dirname(folder)), firstPort: FIRST_PORT })
  const control = world.supervised()
  const { runtime, registry } = control
  await runtime.deploy({ id: 'a', version: await registry.get('custom', '1') })
  const exits = await control.exits('a', 3)
  for (const exit of exits) t.match(exit, { cause: 'crash', code: 7, reason: 'ended with code 7' })
  t.equal((await runtime.facts('a'))?.running, true, 'what keeps it running is there')
})

t.test('of a process that an earlier controller started it is only known that it has gone', async t => {
  const dir = t.testdir()
  const watch = createExitWatch({ clock: systemClock, log: createLog('test', 'silent') })
  const a = { deployment: 'a', logFile: join(dir, 'a') }
  const gone = spawn('true')
  await once(gone, 'exit')
  const { pid = 0 } = gone
  await watch.foundGone(a, pid)
  await watch.foundGone(a, pid)
  const { exits, running } = await watch.facts([{ ...a, pid }], 0)
  t.match(exits, [{ pid, cause: 'unknown', code: null, signal: null, reason: 'ended while nobody watched' }])
  t.notOk(running)
})

const OVER = { residentBytes: 99, peakBytes: 99, limitBytes: 50, reason: 'killed: too much is resident' }

// What was to be killed was called OOM before it was killed, also where it ended by itself in between.
t.test(
  'what ends by itself just before it is killed for its memory is a crash',
  { skip: process.platform === 'linux' ? false : 'what has ended is told on Linux' },
  async t => {
    const watch = createExitWatch({ clock: systemClock, log: createLog('test', 'silent') })
    const a = { deployment: 'a', logFile: join(t.testdir(), 'a') }
    const child = spawn('sh', ['-c', 'exit 3'])
    const { pid = 0 } = child
    watch.began(a, pid, child)
    // has ended, and nobody has heard of it: this thread does nothing else meanwhile
    const isZombie = () => /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
    while (!isZombie()) continue
    t.equal(watch.isRunning(a, pid), true, 'until it is told how it has ended')
    t.ok(process.kill(pid, 'SIGKILL'), 'it takes the signal')
    watch.killed(a, pid, OVER)
    await once(child, 'exit')
    t.not(watch.isRunning(a, pid), true)
    const { exits } = await watch.facts([{ ...a, pid }], 0)
    t.match(exits, [{ cause: 'crash', code: 3, signal: null, limitBytes: null }])
    t.equal(exits.length, 1)
  },
)

t.test(
  'what is killed for its memory is told with limit and peak, also of an earlier controller',
  async t => {
    const watch = createExitWatch({ clock: systemClock, log: createLog('test', 'silent') })
    for (const whose of ['ours', "an earlier controller's"]) {
      const a = { deployment: 'a', logFile: join(t.testdir(), 'a') }
      const child = spawn('sleep', ['60'])
      const { pid = 0 } = child
      if (whose === 'ours') watch.began(a, pid, child)
      t.match(await watch.facts([{ ...a, pid }], 0), { running: true, exits: [] })
      child.kill('SIGKILL')
      watch.killed(a, pid, OVER)
      await once(child, 'exit')
      const { exits } = await watch.facts([{ ...a, pid }], 0)
      const told = { cause: 'memory-limit', signal: 'SIGKILL', code: null, limitBytes: 50 }
      t.match(exits, [{ ...told, reason: OVER.reason }], whose)
      t.ok((exits[0]?.peakBytes ?? 0) >= 99)
    }
  },
)

t.test('a pid that was used again is not taken for the process that had it before', async t => {
  const watch = createExitWatch({ clock: systemClock, log: createLog('test', 'silent') })
  const [a, b] = ['a', 'b'].map(deployment => ({ deployment, logFile: join(t.testdir(), deployment) }))
  if (a === undefined || b === undefined) throw new Error('there are two')
  const child = spawn('sleep', ['60'])
  const { pid = 0 } = child
  watch.began(b, pid, child)
  t.equal(watch.isRunning(a, pid), undefined)
  await watch.foundGone(a, pid) // it ended while nobody watched
  t.match(await watch.facts([{ ...b, pid }], 0), { running: true, exits: [] })
  watch.expect(a, pid)
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.match((await watch.facts([{ ...b, pid }], 0)).exits, [{ cause: 'crash', signal: 'SIGKILL' }])
})

t.test('out of memory is said only where the kernel counted a kill, and killed', async t => {
  t.equal(causeOfEnding('SIGKILL', { before: 3, after: 4 }), 'out-of-memory')
  t.equal(causeOfEnding('SIGKILL', { before: 3, after: 3 }), 'crash')
  t.equal(causeOfEnding('SIGSEGV', { before: 3, after: 4 }), 'crash')
  t.equal(causeOfEnding(null, { before: 3, after: 4 }), 'crash')
  t.equal(causeOfEnding('SIGKILL', { before: undefined, after: 4 }), 'crash')
})

t.test("the kernel's count is its own cgroup's where there is one", async t => {
  const events = 'low 0\noom 2\noom_kill 1\noom_group_kill 0\n'
  const vmstat = 'nr_free_pages 12\noom_kill 7\n'
  const root = t.testdir({
    v2: {
      proc: { self: { cgroup: '0::/weir.slice\n' }, vmstat },
      sys: { fs: { cgroup: { 'weir.slice': { 'memory.events': events } } } },
    },
    v1: {
      proc: { self: { cgroup: '4:memory:/x\n' }, vmstat },
      sys: { fs: { cgroup: { memory: { 'memory.oom_control': 'under_oom 0\noom_kill 5\n' } } } },
    },
    none: { proc: { vmstat } },
    elsewhere: {},
  })
  t.equal(countOomKills(join(root, 'v2')), 1)
  t.equal(countOomKills(join(root, 'v1')), 5)
  t.equal(countOomKills(join(root, 'none')), 7)
  t.equal(countOomKills(join(root, 'elsewhere')), undefined)
})

t.test('only whole lines with a well-formed exit are exits', async t => {
  const exit = {
    pid: 1,
    cause: 'crash',
    code: 3,
    signal: null,
    peakBytes: null,
    limitBytes: null,
    reason: 'x',
  }
  const line = JSON.stringify({ time: 5, msg: 'ended', exit })
  t.strictSame(parseExits(`${line}\n{"exit":{}}\n"exit": not json\nTraceback\n`), [{ ...exit, at: 5 }])
})
