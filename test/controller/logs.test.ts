import { execFile, spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { createLogFiles } from '../../controller/runtime/log-files.ts'
import { readLines } from '../../controller/runtime/log-lines.ts'
import { addLogs } from '../../controller/runtime/logs-api.ts'
import { createHttpServer } from '../../lib/http-server.ts'
import { createLog } from '../../lib/log.ts'
import { until } from '../helpers/until.ts'
import { writeCustomFolder } from '../serving/custom-folder.ts'
import { createRuntimeWorld } from './runtime-world.ts'

// What the processes of a version write: how it is kept, read and followed.

const LIMIT_MS = 30_000
const INSTANCE = { deployment: 'a', number: 0, model: 'm', version: '1' }
const silent = createLog('test', 'silent')

const textsOf = ({ items }: { readonly items: readonly { readonly text: string }[] }) =>
  items.map(({ text }) => text)

t.test('whoever follows misses and repeats no line, also where a file is begun anew', async t => {
  const files = createLogFiles(t.testdir(), { fileBytes: 4000 })
  const path = files.prepare(INSTANCE)
  const seen: string[] = []
  let count = 0
  const write = (lines: number) => {
    for (let line = 0; line < lines; line++) appendFileSync(path, `line ${count++}\n`)
  }
  write(3)
  let page = await readLines(await files.find('m', '1'))
  seen.push(...textsOf(page))
  for (let round = 0; round < 30; round++) {
    write(round * 7)
    if (round % 3 === 0) await files.limit(path)
    write(2)
    page = await readLines(await files.find('m', '1'), { after: page.cursor })
    seen.push(...textsOf(page))
    t.ok(statSync(path).size <= 11_000, 'it does not grow without end')
  }
  t.same(
    seen,
    Array.from({ length: count }, (_, line) => `line ${line}`),
  )
  t.ok(existsSync(`${path}.1`))
})

t.test('lines of several processes are in the order of their times, and say whose they are', async t => {
  const files = createLogFiles(t.testdir())
  const at = (time: number) => JSON.stringify({ level: 30, time, msg: `at ${time}` })
  appendFileSync(files.prepare(INSTANCE), `${at(1)}\nTraceback\n  in it\n${at(5)}\nhalf a li`)
  appendFileSync(files.prepare({ ...INSTANCE, number: 1 }), `${at(3)}\n`)
  const { items } = await readLines(await files.find('m', '1'))
  t.same(
    items.map(({ instance, text }) => [instance, text]),
    [
      ['a/0', at(1)],
      ['a/0', 'Traceback'],
      ['a/0', '  in it'],
      ['a/1', at(3)],
      ['a/0', at(5)],
    ],
  )
  t.same(textsOf(await readLines(await files.find('m', '1'), { lines: 1 })), [at(5)])
})

t.test('a process that is added later is read from its beginning', async t => {
  const files = createLogFiles(t.testdir())
  appendFileSync(files.prepare(INSTANCE), 'one\n')
  const { cursor } = await readLines(await files.find('m', '1'))
  appendFileSync(files.prepare({ ...INSTANCE, deployment: 'b' }), 'two\n')
  t.same((await readLines(await files.find('m', '1'), { after: cursor })).items, [
    { instance: 'b/0', text: 'two' },
  ])
})

t.test('no name leads out of the folder of logs', async t => {
  const dir = t.testdir()
  const files = createLogFiles(join(dir, 'logs'))
  mkdirSync(join(dir, 'other'))
  writeFileSync(join(dir, 'other', 'x.0.log'), 'secret\n')
  for (const model of ['..', '../..', '.', '%2e%2e', '../other'])
    for (const version of ['other', '../other', '.', '..'])
      t.same(await files.find(model, version), [], `${model} ${version}`)
  t.ok(files.of({ ...INSTANCE, model: '..', version: '../x' }).startsWith(join(dir, 'logs')))
})

t.test('logs of processes that are no more go when they are too many, the oldest first', async t => {
  const files = createLogFiles(t.testdir(), { deadBytes: 250 })
  const paths = ['a', 'b', 'c', 'd'].map(deployment => files.prepare({ ...INSTANCE, deployment }))
  for (const [age, path] of paths.entries()) {
    writeFileSync(path, 'x'.repeat(100))
    utimesSync(path, 1000 + age, 1000 + age)
  }
  await files.sweep(paths.slice(0, 1))
  t.same(paths.map(existsSync), [true, false, true, true], 'the oldest of all still has a process')
})

t.test('a cursor that is none is refused', async t => {
  for (const after of ['nonsense', Buffer.from('{"a":1}').toString('base64url')])
    await t.rejects(readLines([], { after }), { code: 'bad_request' })
})

/** Says that it began, answers health checks, and ends when it is asked to predict. */
const SERVER = `
import { createServer } from 'node:http'
console.error('began', process.pid)
createServer((request, response) => {
  response.end('{}')
  if (request.url === '/score') { console.error('ending', process.pid); setTimeout(() => process.exit(3), 20) }
}).listen(Number(process.env.PORT), '127.0.0.1')
`

async function startApi(t: Test) {
  const folder = await writeCustomFolder(t.testdir(), { files: { 'server.mjs': SERVER } })
  const modelsDir = dirname(dirname(folder))
  const control = createRuntimeWorld(t, { modelsDir, firstPort: 20_300 }).supervised()
  const { registry, runtime, ready } = control
  const app = createHttpServer({ log: silent, bodyLimitBytes: 1024 })
  addLogs(app, { runtime, registry })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  return { runtime, ready, url, version: await registry.get('custom', '1') }
}

t.test('weir logs --follow goes on over restarts and new processes, and ends well at Ctrl-C', async t => {
  const { runtime, ready, url, version } = await startApi(t)
  await runtime.deploy({ id: 'a', version })
  const { endpoints } = await ready('a')
  const child = spawn(
    process.execPath,
    ['cli/weir.ts', 'logs', 'custom/1', '--follow', '--controller', url],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  const ended = new Promise<unknown>(resolve => child.once('exit', (...how) => resolve(how)))
  const began = (instance: string) => out.match(new RegExp(`^${instance} \\| began`, 'gm'))?.length ?? 0
  await until('the lines there are', LIMIT_MS, async () => began('a/0') === 1)
  await fetch(`${endpoints[0]}/predict`, { method: 'POST', body: 'x' })
  await until('the lines after a restart', LIMIT_MS, async () => began('a/0') === 2)
  await runtime.deploy({ id: 'a', version, instances: 2 })
  await until('the lines of the second process', LIMIT_MS, async () => began('a/1') === 1)
  t.match(out, /^a\/0 \| ending \d+$/m)
  child.kill('SIGINT')
  t.same(await ended, [0, null])

  runtime.stop('a')
  await until('gone', LIMIT_MS, async () => (await runtime.status('a')).kind === 'absent')
  const dead = await weir('logs', 'custom/1', '--controller', url)
  t.match(dead, { code: 0, stdout: /^a\/0 \| ending/m }, 'what has died can still be read')
  const few = await weir('logs', 'custom', '1', '--lines', '2', '--json', '--controller', url)
  t.equal(few.stdout.trim().split('\n').length, 2)
  t.match(JSON.parse(few.stdout.split('\n')[0] ?? ''), { instance: /^a\/[01]$/ })
})

t.test('a version that there is not, or that has never run, is said to be that', async t => {
  const { url } = await startApi(t)
  t.match(await weir('logs', 'custom/1', '--controller', url), {
    code: 0,
    stdout: '',
    stderr: /custom\/1 has written nothing yet/,
  })
  for (const wrong of ['custom/99', 'nothing/1'])
    t.match(await weir('logs', wrong, '--follow', '--controller', url), {
      code: 1,
      stderr: /\b(99|nothing)\b/,
    })
  t.match(await weir('logs', 'custom', '--controller', url), { code: 1, stderr: /such as custom\/2/ })
  t.match(await weir('logs', 'custom/1', '--lines', '0', '--controller', url), { code: 1, stderr: /--lines/ })
})

function weir(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise(resolve => {
    execFile(process.execPath, ['cli/weir.ts', ...args], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
}
