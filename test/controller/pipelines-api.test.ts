import t from 'tap'
import { createControllerClient } from '../../client/controller.ts'
import { createIdempotency } from '../../controller/idempotency.ts'
import { addPipelines } from '../../controller/lifecycle/pipelines-api.ts'
import { createHttpServer } from '../../lib/http-server.ts'
import { gates, startControl, startWorld } from './pipeline-control.ts'

type Test = Parameters<typeof startControl>[0]

async function startApi(t: Test) {
  const control = startControl(t, await startWorld(t, gates(0)))
  const { pipelines, store, clock, log } = control
  const app = createHttpServer({ log, bodyLimitBytes: 65_536 })
  addPipelines(app, { pipelines, once: createIdempotency(store, clock) })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  const post = async (path: string, body: object, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${url}/v1/pipelines${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    })
    return { status: answer.status, body: await answer.json() }
  }
  return { control, post, client: createControllerClient({ baseUrl: url, actor: 'ada' }) }
}

// A request that was repeated without a key began a second run of the same version.
t.test('a second run of the same version is refused, and names the first', async t => {
  const { control, post } = await startApi(t)
  const version2 = { model: 'food11', version: '2' }
  t.match(await post('', version2), { status: 201, body: { id: 'food11-v2' } })
  t.match(await post('', version2), {
    status: 409,
    body: {
      error: { code: 'conflict', message: /run "food11-v2"/, details: { run: 'food11-v2', phase: 'Queued' } },
    },
  })
  t.equal(control.pipelines.list().length, 1)
  const key = { 'idempotency-key': 'once' }
  const version3 = { model: 'food11', version: '3' }
  t.match(await post('', version3, key), { status: 201, body: { id: 'food11-v3' } })
  t.match(
    await post('', version3, key),
    { status: 201, body: { id: 'food11-v3' } },
    'with a key it is repeated',
  )
})

t.test('a cancellation says who and why, and may be repeated', async t => {
  const { post, client } = await startApi(t)
  const { id } = await client.startPipeline('food11', '2')
  t.match(await post(`/${id}/cancel`, { as: 'grace' }), {
    status: 400,
    body: { error: { message: /reason/ } },
  })
  t.match(await post(`/${id}/cancel`, { reason: ' ', as: 'grace' }), { status: 400 })
  t.match(await post(`/${id}/cancel`, { reason: 'x', by: 'grace' }), {
    status: 400,
    body: { error: { message: /by/ } },
  })
  t.match(await post(`/${id}/cancel`, { reason: 'not now' }), {
    status: 422,
    body: { error: { code: 'invalid_setting', message: /say who/ } },
  })
  t.match(await client.cancelPipeline(id, { reason: 'not now' }), { phase: 'Cancelled', cancelledBy: 'ada' })
  t.match(await client.cancelPipeline(id, { reason: 'not now' }), { phase: 'Cancelled', cancelledBy: 'ada' })
  await t.rejects(client.cancelPipeline('nothing', { reason: 'not now' }), { code: 'pipeline_not_found' })
})
