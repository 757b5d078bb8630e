import t from 'tap'
import { createHttpServer } from '../../lib/http-server.ts'
import { createControllerClient } from '../../client/controller.ts'
import { addModels } from '../../controller/registry/registry-api.ts'
import { provenInStaging, startEnvironmentWorld, startLifecycle } from './environment-world.ts'

// An alias that is an environment's says what runs there, also where a person moves it.

t.test('it moves by hand only to what answers at that environment’s own route', async t => {
  const world = await startEnvironmentWorld(t)
  const lifecycle = startLifecycle(t, world)
  for (const name of ['production', 'staging', 'canary'] as const) await lifecycle.settle(name)
  await provenInStaging(lifecycle, '2')
  const app = createHttpServer({ log: lifecycle.log, bodyLimitBytes: 65_536 })
  const uploads = async () => Promise.reject(new Error('nothing is uploaded here'))
  addModels(app, { ...lifecycle, uploads })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  const client = createControllerClient({ baseUrl: url, actor: 'ada' })
  const move = async (alias: 'development' | 'staging' | 'canary' | 'production', version: string) =>
    client.setAlias('food11', alias, version, { reason: 'seen by hand' })

  await t.rejects(move('production', '2'), {
    code: 'version_not_serving',
    message: /production .*version 1 .*answers/,
  })
  await t.rejects(move('canary', '2'), { code: 'version_not_serving', message: /canary .*nothing answers/ })
  t.same(await lifecycle.registry.aliases('food11'), { production: '1', staging: '2' })
  await lifecycle.registry.setAlias('food11', 'staging', null, { actor: 'ada', reason: 'a mistake' })
  await move('staging', '2')
  await move('development', '2')
  t.same(await lifecycle.registry.aliases('food11'), { development: '2', production: '1', staging: '2' })
})
