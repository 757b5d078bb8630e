import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { freePort } from '../../lib/ports.ts'

// `weir up` over an MLflow server that has nothing to begin with.

async function startEmptyMlflow(t: Test): Promise<string> {
  const server = createServer((request, response) => {
    request.resume()
    response.setHeader('content-type', 'application/json')
    if (request.url?.includes('/search')) return void response.end('{}')
    response.statusCode = 404
    response.end('{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"none of that name"}')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

interface Ended {
  readonly code: unknown
  readonly said: string
}

async function up(t: Test, env: Readonly<Record<string, string>>, ...args: string[]): Promise<Ended> {
  const state = await mkdtemp(join(tmpdir(), 'weir-'))
  t.teardown(() => rm(state, { recursive: true, force: true }))
  const ports: string[] = []
  let next = 27_000 + (process.pid % 250) * 20 // below those that the system gives away meanwhile
  for (const name of ['port', 'operator-port', 'controller-port', 'staging-port', 'canary-port']) {
    next = await freePort('127.0.0.1', next)
    ports.push(`--${name}`, String(next++))
  }
  const command = ['cli/weir.ts', 'up', '--state', state, '--workers', '1', ...ports, ...args]
  return new Promise(resolve => {
    const options = { env: { ...process.env, ...env }, timeout: 60_000 }
    execFile(process.execPath, command, options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : error.code, said: `${stdout}\n${stderr}` }),
    )
  })
}

t.test('it ends, and says what to register where', async t => {
  const url = await startEmptyMlflow(t)
  const { code, said } = await up(t, { MLFLOW_TRACKING_URI: url })
  t.equal(code, 1)
  t.match(
    said,
    new RegExp(`the MLflow server at ${url} has not what Weir is to begin with: register it first`),
  )
  t.match(said, /docs\/lifecycle\.md.*--stable and --candidate: no model "food11"/)
})

t.test('versions that the models folder has not are looked for there', async t => {
  const url = await startEmptyMlflow(t)
  const { said } = await up(t, { MLFLOW_TRACKING_URI: url }, '--stable', '77', '--candidate', '78')
  t.match(said, /no version "77" of model|no model "food11" on the MLflow server/)
  t.notMatch(said, /model\.json cannot be read/)
})

t.test('credentials that are half given end it by name, and are not repeated', async t => {
  const env = { MLFLOW_TRACKING_URI: await startEmptyMlflow(t), MLFLOW_TRACKING_PASSWORD: 'open-sesame' }
  const { code, said } = await up(t, env)
  t.equal(code, 1)
  t.match(said, /MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD go together/)
  t.notMatch(said, /open-sesame/)
})

t.test('credentials that the server does not believe end it, and it says what to set', async t => {
  const server = createServer((_, response) => void response.writeHead(401).end('You are not authenticated'))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => void server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { code, said } = await up(t, { MLFLOW_TRACKING_URI: url, MLFLOW_TRACKING_TOKEN: 'open-sesame' })
  t.equal(code, 1)
  t.match(said, /answered 401 with the credentials given: set MLFLOW_TRACKING_USERNAME and/)
  t.notMatch(said, /open-sesame/)
})
