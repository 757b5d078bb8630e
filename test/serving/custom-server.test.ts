import { writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { t, type Test } from 'tap'
import { systemClock } from '../../lib/clock.ts'
import { createLog } from '../../lib/log.ts'
import { isAlive } from '../../lib/shutdown.ts'
import { createCustomApp } from '../../serving/custom/custom-app.ts'
import { createCustomServer } from '../../serving/custom/custom-server.ts'
import { findProgram } from '../helpers/programs.ts'
import { until } from '../helpers/until.ts'
import { PYTHON_SERVER, writeCustomFolder, type CustomFolder } from './custom-folder.ts'
import { plain, RED } from './photos.ts'
import { ask, postBytes, type Answer } from './start-server.ts'

// Versions whose manifest names a command instead of a model, with real servers behind.

const LIMIT_MS = 20_000

async function start(t: Test, custom: CustomFolder = {}, samplesDir?: string) {
  const folder = await writeCustomFolder(t.testdir(), custom)
  return { folder, ...(await startIn(t, folder, samplesDir)) }
}

async function startIn(t: Test, folder: string, samplesDir?: string) {
  const log = createLog('custom-test', 'silent')
  const server = createCustomServer({ options: { model: folder }, clock: systemClock, log })
  const app = await createCustomApp({ server, modelPath: folder, samplesDir, clock: systemClock, log })
  await app.listen({ port: 0, host: '127.0.0.1' })
  await server.load()
  t.teardown(async () => {
    server.drain()
    await app.close()
    await server.close()
  })
  const { port } = app.server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    server,
    score: (text: string) => postBytes(`${url}/predict`, Buffer.from(text), 'text/plain'),
  }
}

const ready = (url: string) =>
  until('ready', LIMIT_MS, async () => (await ask(`${url}/readyz`)).status === 200)
const notReady = (url: string, reason: RegExp): Promise<Answer> =>
  until(`not ready: ${reason}`, LIMIT_MS, async () => {
    const answer = await ask(`${url}/readyz`)
    return answer.status === 503 && reason.test(answer.body.error.message) && answer
  })

const restarted = (url: string) =>
  until('started again', LIMIT_MS, async () =>
    /^weir_serving_restarts_total [1-9]/m.test((await ask(`${url}/metrics`)).body),
  )

t.test('it is ready, proves its version, and gets predictions on its own scoring route', async t => {
  const { url, folder, score } = await start(t, { server: { env: { EXTRA: 'in {dir}' } } })
  await ready(url)
  const version = await ask(`${url}/version`)
  t.match(version.body, { model: 'custom', model_version: '1', digest: /^sha256:[0-9a-f]{64}$/ })
  const answer = await score('hello')
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('x-own'), 'yes')
  t.equal(answer.headers.get('x-weir-model-version'), '1')
  t.match(answer.body, {
    bytes: 5,
    type: 'text/plain',
    model: 'custom',
    model_version: '1',
    MODEL_BASE_PATH: folder,
    EXTRA: `in ${folder}`,
  })
  t.equal((await score('bad')).status, 422, 'its own refusals arrive as they are')
  const { body: metrics } = await ask(`${url}/metrics`)
  t.match(metrics, 'weir_serving_requests_total{model="custom",version="1",outcome="success"} 1')
  t.match(metrics, 'weir_serving_requests_total{model="custom",version="1",outcome="client_error"} 1')
  if (process.platform === 'linux') t.match(metrics, /weir_serving_command_bytes [1-9]\d{6,}/)
})

const python = findProgram('python3')
t.test(
  'a Python server that is told its port on its command line',
  { skip: 'skip' in python && python.skip },
  async t => {
    const { url, score } = await start(t, {
      files: { 'serve.py': PYTHON_SERVER },
      server: { command: ['python3', '{dir}/serve.py', '{port}'] },
    })
    await ready(url)
    t.strictSame((await score('x')).body, { predictions: [2.5], files: ['model.json', 'serve.py'] })
  },
)

t.test('/test sends a sample photo as a form', async t => {
  const photos = t.testdir({
    'samples.json': JSON.stringify([{ file: 'a.jpg', label: 'Soup' }]),
    'a.jpg': await plain(RED).jpeg().toBuffer(),
  })
  const { url } = await startIn(t, await writeCustomFolder(photos), photos)
  await ready(url)
  t.match((await ask(`${url}/test`)).body, { label: 'Soup', expected: 'Soup', correct: true, image: 'a.jpg' })
})

t.test('one that crashes is started again; its request gets a clear error', async t => {
  const { url, score } = await start(t)
  await ready(url)
  const { pid } = (await score('x')).body
  t.match(await score('crash'), { status: 502, body: { error: { code: 'bad_gateway' } } })
  const again = await until('another process', LIMIT_MS, async () => {
    const { status, body } = await score('x')
    return status === 200 && body.pid !== pid && body
  })
  t.not(again.pid, pid)
  await restarted(url)
})

t.test('one that is not ready gets no requests, and is left alone', async t => {
  const { url, server, score } = await start(t, {
    server: { routes: { live: '/health', ready: '/ready', predict: '/score' } },
  })
  await ready(url)
  await score('unready')
  await notReady(url, /\/ready answers 503/)
  t.match(await score('x'), { status: 503, body: { error: { code: 'not_ready' } } })
  t.equal(server.state().kind, 'loading')
})

t.test('one that is not alive is ended and started again', async t => {
  const { url, score } = await start(t)
  await ready(url)
  const { pid } = (await score('x')).body
  await score('sick')
  await until('another process', LIMIT_MS, async () => {
    const { status, body } = await score('x')
    return status === 200 && body.pid !== pid
  })
  t.notOk(isAlive(pid))
})

t.test(
  'over its memory limit it is ended',
  { skip: process.platform !== 'linux' && 'needs /proc' },
  async t => {
    const { url, score } = await start(t, { manifest: { memoryLimitMiB: 150 } })
    await ready(url)
    await score('grow')
    await restarted(url)
    await ready(url)
  },
)

t.test('a request ends at its client’s deadline', async t => {
  const { url } = await start(t)
  await ready(url)
  const headers = { 'content-type': 'text/plain', 'x-request-timeout-ms': '100' }
  t.match(await ask(`${url}/predict`, { method: 'POST', headers, body: 'slow' }), {
    status: 504,
    body: { error: { code: 'deadline_exceeded' } },
  })
})

t.test('what does not fit is refused, with the reason', async t => {
  const cases: readonly (readonly [RegExp, CustomFolder])[] = [
    [/"no-such-program" cannot be started/, { server: { command: ['no-such-program'] } }],
    [/digest does not match/, { manifest: { digest: `sha256:${'0'.repeat(64)}` } }],
    [/names server\.mjs, which server\.files does not list/, { server: { files: [] } }],
    [/gone\.mjs does not exist/, { server: { files: [{ file: 'gone.mjs', sha256: '0'.repeat(64) }] } }],
    [/unknown setting "server\.comand"/, { server: { comand: ['x'] } }],
    [/below this folder/, { server: { files: [{ file: '../x', sha256: '0'.repeat(64) }] } }],
  ]
  for (const [index, [reason, custom]] of cases.entries()) {
    const { url } = await startIn(t, await writeCustomFolder(t.testdir({ [`${index}`]: {} }), custom))
    t.match(await ask(`${url}/readyz`), {
      status: 503,
      body: { error: { code: 'model_refused', message: reason } },
    })
    t.equal((await ask(`${url}/livez`)).status, 200)
  }
})

t.test('a file that was changed is refused', async t => {
  const folder = await writeCustomFolder(t.testdir())
  await writeFile(join(folder, 'server.mjs'), 'setInterval(() => {}, 1000)')
  const { url } = await startIn(t, folder)
  t.match(
    (await ask(`${url}/readyz`)).body.error.message,
    /server\.mjs is not the file that model\.json names/,
  )
})
