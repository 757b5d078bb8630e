import type { IncomingMessage, ServerResponse } from 'node:http'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import t, { type Test } from 'tap'
import { createMlflowApi, type MlflowCredentials } from '../../controller/registry/mlflow-api.ts'
import { mlflowCredentials, mlflowSettings } from '../../controller/registry/mlflow-settings.ts'
import { readEnv } from '../../lib/env.ts'
import { describeProblem } from '../../lib/problem.ts'
import { until } from '../helpers/until.ts'
import { writeCustomFolder } from '../serving/custom-folder.ts'
import { createRuntimeWorld } from './runtime-world.ts'
import { listen } from './small-gateway.ts'

// How we prove to an MLflow server who we are; that a real one believes it is registry-mlflow-users.test.ts.

const SECRET = 'open-sesame'

/** Says what it was told about who asks. */
async function startServer(t: Test, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const seen: (string | undefined)[] = []
  const url = await listen(t, (request, response) => {
    seen.push(request.headers.authorization)
    request.resume()
    answer(request, response)
  })
  return { url, seen }
}

t.test('a name and a password, or a token, go with every call and every file', async t => {
  const dir = t.testdir({ 'model.onnx': 'bytes' })
  const basic = `Basic ${Buffer.from(`ada:${SECRET}`).toString('base64')}`
  const cases: readonly [MlflowCredentials | undefined, string | undefined][] = [
    [{ username: 'ada', password: SECRET }, basic],
    [{ token: SECRET }, `Bearer ${SECRET}`],
    [undefined, undefined],
  ]
  for (const [credentials, expected] of cases) {
    const { url, seen } = await startServer(t, (_, response) => response.end('{}'))
    const api = createMlflowApi({ baseUrl: url, credentials })
    await api.get('registered-models/search', {}, z.unknown())
    await api.post('registered-models/create', { name: 'x' }, z.unknown())
    await api.remove('registered-models/alias', { name: 'x' })
    await api.upload('mlflow-artifacts:/1/r/artifacts/model', 'model.onnx', join(dir, 'model.onnx'))
    await api.download('mlflow-artifacts:/1/r/artifacts/model', 'model.onnx', join(dir, 'back.onnx'))
    t.strictSame(
      seen,
      Array.from({ length: 5 }, () => expected),
    )
  }
})

t.test('a server that does not believe us is told with what to set, and without what was set', async t => {
  for (const status of [401, 403]) {
    const { url } = await startServer(t, (request, response) => {
      response.statusCode = status
      response.end(`You are not ${request.headers.authorization ?? 'anybody'}`)
    })
    const withToken = createMlflowApi({ baseUrl: url, credentials: { token: SECRET } })
    const error: unknown = await withToken.get('x', {}, z.unknown()).catch((refusal: unknown) => refusal)
    t.match(error, {
      code: 'bad_gateway',
      message: /answered \d+ with the credentials given: set MLFLOW_TRACKING_/,
    })
    t.notMatch(describeProblem(error), SECRET)
    t.notMatch(JSON.stringify(error), SECRET)
    const without = createMlflowApi({ baseUrl: url })
    await t.rejects(without.get('x', {}, z.unknown()), {
      message: /without credentials: set MLFLOW_TRACKING_/,
    })
  }
})

t.test('they are not sent on to where a server redirects to', async t => {
  const elsewhere = await startServer(t, (_, response) => response.end('{}'))
  const { url } = await startServer(t, (_, response) => {
    response.writeHead(307, { location: `${elsewhere.url}/other` }).end()
  })
  await createMlflowApi({ baseUrl: url, credentials: { token: SECRET } }).get('x', {}, z.unknown())
  t.strictSame(elsewhere.seen, [undefined])
})

t.test('a name and a password come before a token; one without the other is refused', async t => {
  const [username, password] = ['ada', SECRET]
  const named = { MLFLOW_TRACKING_USERNAME: username, MLFLOW_TRACKING_PASSWORD: password }
  t.same(mlflowCredentials({ ...named, MLFLOW_TRACKING_TOKEN: 'token' }), { username, password })
  t.same(mlflowCredentials({ MLFLOW_TRACKING_TOKEN: 'token' }), { token: 'token' })
  t.equal(mlflowCredentials({}), undefined)
  for (const half of [{ MLFLOW_TRACKING_USERNAME: username }, { MLFLOW_TRACKING_PASSWORD: password }])
    t.throws(() => mlflowCredentials({ ...half, MLFLOW_TRACKING_TOKEN: 'token' }), /go together/)
})

t.test('an address with credentials in it is refused, without repeating them', async t => {
  const env = { MLFLOW_TRACKING_URI: `http://ada:${SECRET}@mlflow:5000` }
  try {
    readEnv(mlflowSettings, env)
    t.fail('it was taken')
  } catch (error) {
    t.match(
      describeProblem(error),
      /MLFLOW_TRACKING_URI.*must not carry credentials: set MLFLOW_TRACKING_USERNAME/,
    )
    t.notMatch(describeProblem(error), SECRET)
  }
})

t.test("a version's own command finds none of them in its environment", async t => {
  const folder = await writeCustomFolder(t.testdir(), {
    files: { 'say.sh': 'env >&2; echo complete >&2; sleep 60\n' },
    server: { command: ['sh', 'say.sh'] },
  })
  process.env['MLFLOW_TRACKING_TOKEN'] = SECRET
  t.teardown(() => void delete process.env['MLFLOW_TRACKING_TOKEN'])
  const world = createRuntimeWorld(t, { modelsDir: dirname(dirname(folder)), firstPort: 20_500 })
  const { registry, runtime } = world.controller()
  await runtime.deploy({ id: 'a', version: await registry.get('custom', '1') })
  const said = await until('its environment', 20_000, async () => {
    const { items } = await runtime.logs('custom', '1', { lines: 1000 })
    const text = items.map(line => line.text).join('\n')
    return /^complete$/m.test(text) && text
  })
  t.match(said, /^MODEL_NAME=custom$/m)
  t.notMatch(said, /MLFLOW_TRACKING/)
  t.notMatch(said, SECRET)
})
