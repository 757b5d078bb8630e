import t from 'tap'
import { createHttpServer } from '../../lib/http-server.ts'
import { createControllerClient } from '../../client/controller.ts'
import { createIdempotency } from '../../controller/idempotency.ts'
import { addEnvironments } from '../../controller/lifecycle/environments-api.ts'
import { startEnvironmentWorld, startLifecycle } from './environment-world.ts'

type Test = Parameters<typeof startEnvironmentWorld>[0]

async function startApi(t: Test) {
  const world = await startEnvironmentWorld(t)
  const lifecycle = startLifecycle(t, world)
  const { environments, store, clock, log } = lifecycle
  const app = createHttpServer({ log, bodyLimitBytes: 65_536 })
  addEnvironments(app, { environments, once: createIdempotency(store, clock) })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  const post = async (path: string, body: object, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${url}${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    })
    return { status: answer.status, etag: answer.headers.get('etag'), body: await answer.json() }
  }
  return { lifecycle, post, client: createControllerClient({ baseUrl: url, actor: 'ada' }) }
}

const PROMOTE = '/v1/environments/staging/promote'
const VERSION_2 = { from: 'development', version: '2' }

t.test('a promotion that is repeated with its key is done once, and answers as the first time', async t => {
  const { lifecycle, post } = await startApi(t)
  const key = { 'idempotency-key': 'once', 'x-weir-actor': 'ada' }
  const first = await post(PROMOTE, VERSION_2, key)
  t.match(first, { status: 202, body: { deploying: { version: '2', revision: 1 } } })
  await lifecycle.settle('staging')
  t.match(await post(PROMOTE, VERSION_2, key), { status: 202, body: { deploying: { revision: 1 } } })
  t.equal(lifecycle.environments.view('staging').history.length, 1)
  t.match(await post(PROMOTE, { ...VERSION_2, version: '3' }, key), {
    status: 409,
    body: { error: { code: 'conflict' } },
  })
  t.match(lifecycle.audit.list({ subject: 'environment/staging' }).at(-1), {
    actor: 'ada',
    action: 'promote',
  })
})

t.test('If-Match holds both verbs to the version that was seen', async t => {
  const { lifecycle, post } = await startApi(t)
  const { version } = await lifecycle.settle('staging')
  const stale = { 'if-match': `"${version + 1}"` }
  t.match(await post(PROMOTE, VERSION_2, stale), {
    status: 412,
    body: { error: { code: 'precondition_failed', details: { version } } },
  })
  t.match(await post('/v1/environments/staging/rollback', {}, stale), { status: 412 })
  const { etag } = await post(PROMOTE, VERSION_2, { 'if-match': `"${version}"` })
  t.match(etag, /^"\d+"$/)
})

t.test('bad requests are answered with stable codes', async t => {
  const { post, client } = await startApi(t)
  t.match(await post('/v1/environments/nowhere/promote', VERSION_2), {
    status: 404,
    body: { error: { code: 'environment_not_found' } },
  })
  t.match(await post(PROMOTE, { ...VERSION_2, form: 'x' }), {
    status: 400,
    body: { error: { message: /form/ } },
  })
  t.match(await post(PROMOTE, { from: 'production', version: '2' }), { status: 400 })
  t.match(await post(PROMOTE, { ...VERSION_2, version: '77' }), {
    status: 404,
    body: { error: { code: 'version_not_found' } },
  })
  await t.rejects(client.rollbackEnvironment('canary'), { code: 'conflict', message: /no earlier version/ })
  await t.rejects(client.promoteVersion('canary', { from: 'staging', version: '2' }), {
    code: 'not_verified',
  })
  t.match(await client.environments(), [{ name: 'staging' }, { name: 'canary' }, { name: 'production' }])
})
