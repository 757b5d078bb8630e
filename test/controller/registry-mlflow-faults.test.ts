import { createReadStream, existsSync } from 'node:fs'
import { readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { createAudit } from '../../controller/audit.ts'
import { readContent } from '../../controller/registry/content.ts'
import { createMlflowApi } from '../../controller/registry/mlflow-api.ts'
import { parseMlflowNames } from '../../controller/registry/mlflow-names.ts'
import { createMlflowRegistry } from '../../controller/registry/mlflow.ts'
import { createModelFolder } from '../../controller/registry/model-folder.ts'
import { openStore } from '../../controller/store.ts'
import { systemClock } from '../../lib/clock.ts'
import { localRegistry } from './local-registry.ts'
import { listen } from './small-gateway.ts'
import { refused, temporary, trained } from './registry-suite.ts'

// What an MLflow server can do to us; that it works with a real one is registry-mlflow.test.ts.

const ADA = { actor: 'ada' }

function registryAt(t: Test, baseUrl: string, cacheIn = createModelFolder) {
  const dir = temporary(t)
  const store = openStore(join(dir, 'state'))
  t.teardown(() => store.close())
  const registry = createMlflowRegistry({
    api: createMlflowApi({ baseUrl, timeoutMs: 300, transferMs: 300, pauseMs: 1 }),
    names: parseMlflowNames(),
    cache: cacheIn(join(dir, 'cache')),
    store,
    audit: createAudit(store),
    clock: systemClock,
  })
  return {
    registry,
    audit: createAudit(store),
    store,
    dir,
    left: async () => readdir(join(dir, 'cache')).catch(() => []),
  }
}

/** Every call says the same, in time and without a trace. */
async function allSay(
  t: Test,
  url: string,
  code: Parameters<typeof refused>[2],
  message: RegExp,
): Promise<void> {
  const { registry, left } = registryAt(t, url)
  await refused(t, registry.models(), code, message)
  await refused(t, registry.versions('colours'), code, message)
  await refused(t, registry.get('colours', '1'), code, message)
  await refused(t, registry.aliases('colours'), code, message)
  await refused(t, registry.fetch('colours', '1'), code, message)
  await refused(t, registry.register('colours', await trained(t, 'a'), ADA), code, message)
  t.same(await left(), [])
}

const says =
  (status: number, body: string): RequestListener =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  }

t.test('a server that is gone is said to be away, with when to try again', async t => {
  const server = createServer()
  const url = await new Promise<string>(resolve => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(`http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`)
    })
  })
  await new Promise(resolve => server.close(resolve))
  await allSay(t, url, 'registry_unavailable', /cannot be reached: nothing answers at 127\.0\.0\.1/)
  const { registry } = registryAt(t, url)
  const error: unknown = await registry.models().catch((refusal: unknown) => refusal)
  t.match(error, { statusCode: 503, retryAfterSeconds: 5 })
})

t.test('a server that never answers is given up in time', async t => {
  const url = await listen(t, () => {})
  await allSay(t, url, 'registry_unavailable', /did not answer within 0\.3 s/)
})

t.test('a server that stops in the middle of its answer is given up in time', async t => {
  const url = await listen(t, (_, response) => void response.writeHead(200).write('{"registered_models":['))
  await allSay(t, url, 'registry_unavailable', /did not answer within 0\.3 s/)
})

t.test('a server that breaks the connection is said to be away', async t => {
  const url = await listen(t, request => request.socket.destroy())
  await allSay(t, url, 'registry_unavailable', /cannot be reached/)
})

t.test('a server that fails is said to fail', async t => {
  for (const status of [500, 502, 503, 429]) {
    const url = await listen(t, says(status, '{"error_code":"INTERNAL_ERROR","message":"oh"}'))
    await allSay(t, url, 'registry_unavailable', new RegExp(`answered ${status}`))
  }
})

t.test('what is no MLflow server, or answers with something unknown, is said to be that', async t => {
  const page = await listen(t, says(404, '<html>'))
  await allSay(t, page, 'bad_gateway', /answered 404; is it one\?/)
  for (const body of ['<html>', '{"registered_models":1,"model_versions":1}', '[]']) {
    const url = await listen(t, says(200, body))
    const { registry } = registryAt(t, url)
    await refused(t, registry.get('colours', '1'), 'bad_gateway', /something unknown/)
  }
})

t.test('what MLflow refuses is passed on in its words', async t => {
  const url = await listen(t, says(403, '{"error_code":"PERMISSION_DENIED","message":"not for you"}'))
  await allSay(t, url, 'bad_gateway', /refuses: not for you/)
})

t.test(
  'a version that was fetched before can be run while the server is away, unless it is damaged',
  async t => {
    const url = await listen(t, says(503, ''))
    const { registry, store, dir } = registryAt(t, url)
    const cached = localRegistry(join(dir, 'cache'), store) // the same folders
    await cached.register('colours', await trained(t, 'a'), ADA)
    const folder = await registry.fetch('colours', '1')
    t.equal(folder, join(dir, 'cache/colours/1'))
    await writeFile(join(folder, 'model.onnx'), 'damaged')
    await refused(t, registry.fetch('colours', '1'), 'registry_unavailable', /answered 503/)
  },
)

/** A server that has version 1 of colours, and lets `trouble` spoil any answer: true where it has answered in its place. */
async function serveOne(t: Test, trouble: (request: IncomingMessage, response: ServerResponse) => boolean) {
  const source = await trained(t, 'a')
  const { digest, text } = (await readContent(source)).stamp('colours', '1')
  await writeFile(join(source, 'model.json'), text)
  const tags = [{ key: 'weir.digest', value: digest }]
  const answers: Record<string, object> = {
    'model-versions/get': { model_version: { name: 'colours', version: '1', creation_timestamp: 1, tags } },
    'model-versions/get-download-uri': { artifact_uri: 'mlflow-artifacts:/1/r/artifacts/model' },
    'model-versions/search': {},
    'registered-models/get': { registered_model: { name: 'colours' } },
  }
  const url = await listen(t, (request, response) => {
    if (trouble(request, response)) return
    const { pathname } = new URL(request.url ?? '', 'http://server')
    const known = answers[pathname.replace('/api/2.0/mlflow/', '')]
    if (known !== undefined) return void response.end(JSON.stringify(known))
    createReadStream(join(source, basename(pathname))).pipe(response)
  })
  const model = await readFile(join(source, 'model.onnx'))
  return { url, model }
}

t.test('a server that fails once, or breaks off once, is asked again', async t => {
  const hiccups: readonly ((response: ServerResponse) => unknown)[] = [
    response => response.writeHead(500).end('oh'),
    response => response.destroy(),
    response => response.writeHead(200, { 'content-length': 100 }).write('half', () => response.destroy()),
  ]
  for (const hiccup of hiccups) {
    const seen = new Set<string>()
    const { url, model } = await serveOne(t, ({ url = '' }, response) => {
      if (seen.has(url)) return false
      seen.add(url)
      hiccup(response)
      return true
    })
    const { registry } = registryAt(t, url)
    const folder = await registry.fetch('colours', '1')
    t.same(await readFile(join(folder, 'model.onnx')), model)
    t.equal(seen.size, 4, 'the version, its place and its two files, each after one failure')
  }
})

t.test('what is half downloaded is no version, and is fetched whole the next time', async t => {
  let isBroken = true
  const { url, model } = await serveOne(t, (request, response) => {
    if (!isBroken || request.url?.endsWith('model.onnx') !== true) return false
    response.end('the first half') // and all is said to be well
    return true
  })
  const { registry, left } = registryAt(t, url)
  await refused(t, registry.fetch('colours', '1'), 'digest_mismatch', /the files have/)
  t.same(await left(), [])
  isBroken = false
  t.same(await readFile(join(await registry.fetch('colours', '1'), 'model.onnx')), model)
})

const NEEDS_FULL = !existsSync('/dev/full') && 'needs /dev/full'
t.test(
  'a disk that is full while a version comes in is said to be, and nothing stays',
  { skip: NEEDS_FULL },
  async t => {
    const { url } = await serveOne(t, () => false)
    const { registry, left } = registryAt(t, url, dir => {
      const folder = createModelFolder(dir)
      const begin = async () => {
        const arriving = await folder.begin()
        await symlink('/dev/full', join(arriving, 'model.onnx'))
        return arriving
      }
      return { ...folder, begin }
    })
    await refused(t, registry.fetch('colours', '1'), 'insufficient_storage', /does not fit on the disk/)
    t.same(await left(), [])
  },
)

t.test(
  'what runs can be started again after its version was removed on the server, or we may not ask any more',
  async t => {
    let answer: { status: number; code: string } | undefined
    const { url } = await serveOne(t, (request, response) => {
      const isFoundEmpty = answer?.status === 404 && request.url?.includes('/search') === true
      if (answer === undefined || isFoundEmpty) return false
      response.writeHead(answer.status).end(JSON.stringify({ error_code: answer.code, message: 'no' }))
      return true
    })
    const { registry } = registryAt(t, url)
    const folder = await registry.fetch('colours', '1')
    answer = { status: 404, code: 'RESOURCE_DOES_NOT_EXIST' }
    t.equal(await registry.fetch('colours', '1'), folder)
    await refused(t, registry.get('colours', '1'), 'model_not_found', /colours/) // so nobody starts it anew
    answer = { status: 403, code: 'PERMISSION_DENIED' }
    t.equal(await registry.fetch('colours', '1'), folder)
    await writeFile(join(folder, 'model.onnx'), 'damaged')
    await refused(t, registry.fetch('colours', '1'), 'bad_gateway', /refuses: no/)
  },
)

t.test('a change that may not have been made is on record, and that it failed', async t => {
  const model = { name: 'colours', aliases: [] }
  const found = {
    name: 'colours',
    version: '1',
    creation_timestamp: 1,
    tags: [{ key: 'weir.digest', value: 'sha256:x' }],
  }
  const url = await listen(t, (request, response) => {
    if (request.method === 'POST') return
    response.end(JSON.stringify({ registered_model: model, model_version: found }))
  })
  const { registry, audit } = registryAt(t, url)
  const moved = registry.setAlias('colours', 'canary', '1', { actor: 'ada', reason: 'seen serving' })
  await refused(t, moved, 'registry_unavailable', /did not answer/)
  t.match(audit.list(), [
    { action: 'set-alias-failed', actor: 'ada', subject: 'colours/1', reason: /did not answer/ },
    { action: 'set-alias', actor: 'ada', subject: 'colours/1', reason: 'seen serving' },
  ])
})

t.test('names: a model by its name, a pattern for the others, and back', t => {
  const plain = parseMlflowNames()
  t.equal(plain.toMlflow('food11'), 'food11')
  t.equal(plain.toModel('food11'), 'food11')
  const names = parseMlflowNames('food11=Team Model, team.{model}.v2')
  t.equal(names.toMlflow('food11'), 'Team Model')
  t.equal(names.toModel('Team Model'), 'food11')
  t.equal(names.toMlflow('soup'), 'team.soup.v2')
  t.equal(names.toModel('team.soup.v2'), 'soup')
  for (const other of ['soup', 'team..v2', 'team.v2', 'team.food11.v2'])
    t.equal(names.toModel(other), undefined, other)
  for (const bad of ['team', 'a=', '=b', 'a=x/y', "a=it's", 'a={model}', '{model}{model}', '{model}=x'])
    t.throws(() => parseMlflowNames(bad), { code: 'invalid_setting', message: /WEIR_MLFLOW_NAMES/ }, bad)
  t.end()
})
