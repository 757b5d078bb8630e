import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import t, { type Test } from 'tap'
import { superviseChild } from '../../cli/up/children.ts'
import { REFUSED_EXIT_CODE } from '../../lib/shutdown.ts'
import { eventually } from '../gateway/harness.ts'

// A program that writes its pid and stays, or refuses to start while a file is there: settings with a mistake.

const PROGRAM = `
  import { existsSync, writeFileSync } from 'node:fs'
  const [mistake, pid] = process.argv.slice(2)
  if (existsSync(mistake)) {
    process.stderr.write('unknown setting "produktion"\\n')
    process.exit(${REFUSED_EXIT_CODE})
  }
  writeFileSync(pid, String(process.pid))
  setInterval(() => {}, 1000)
`

function supervise(t: Test) {
  const dir = t.testdir({ 'program.mjs': PROGRAM })
  const [mistake, pid] = [join(dir, 'mistake'), join(dir, 'pid')]
  const restarts: string[] = []
  const givenUp: string[] = []
  const child = superviseChild({
    name: 'controller',
    program: relative(process.cwd(), join(dir, 'program.mjs')),
    args: [mistake, pid],
    logFile: join(dir, 'log'),
    onRestart: message => restarts.push(message),
    onGiveUp: message => givenUp.push(message),
  })
  t.teardown(() => child.stop())
  const isUp = () =>
    eventually(() => {
      try {
        return Number(readFileSync(pid, 'utf8')) > 0
      } catch {
        return false
      }
    })
  return { child, mistake, pid, restarts, givenUp, isUp }
}

t.test('what refuses to start is given up', async t => {
  const { mistake, pid, restarts, givenUp, isUp } = supervise(t)
  t.ok(await isUp())
  writeFileSync(mistake, '')
  process.kill(Number(readFileSync(pid, 'utf8')), 'SIGKILL')
  t.ok(await eventually(() => givenUp.length > 0))
  t.same(givenUp, ['controller ended (78): unknown setting "produktion"'])
  t.same(restarts, ['controller ended (SIGKILL); starting it again'])
})

t.test('once users are served it is tried again, with what it complains of, until it starts', async t => {
  const { child, mistake, pid, restarts, givenUp, isUp } = supervise(t)
  t.ok(await isUp())
  child.keepTrying()
  writeFileSync(mistake, '')
  process.kill(Number(readFileSync(pid, 'utf8')), 'SIGKILL')
  t.ok(await eventually(() => restarts.length > 2))
  t.equal(restarts.at(-1), 'controller ended (78): unknown setting "produktion"; starting it again')
  t.same(givenUp, [])
  rmSync(pid)
  rmSync(mistake)
  t.ok(await isUp(), 'started when the mistake is gone')
})
