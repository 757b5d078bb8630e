import { once } from 'node:events'
import { openAsBlob } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createUploads } from '../../controller/registry/uploads.ts'
import { until } from '../helpers/until.ts'
import { JSON_LIMIT_BYTES, startRegistryApi } from './registry-server.ts'
import { temporary, trained } from './registry-suite.ts'

async function filesOf(folder: string): Promise<Map<string, Blob>> {
  const files = new Map<string, Blob>()
  for (const name of ['model.json', 'model.onnx']) files.set(name, await openAsBlob(join(folder, name)))
  return files
}

t.test('a version is uploaded, listed and shown, with who registered it', async t => {
  const { url, client, audit, left } = await startRegistryApi(t)
  const folder = await trained(t, 'a')
  const uploaded = await client.registerVersion('colours', await filesOf(folder))
  t.match(uploaded, {
    created: true,
    model: 'colours',
    version: '1',
    aliases: ['development'],
    registeredBy: 'ada',
    failed: null,
  })
  const again = await client.registerVersion('colours', await filesOf(folder))
  t.same(again, { ...uploaded, created: false }, 'the same content is the same version')
  const other = await client.registerVersion('colours', await filesOf(await trained(t, 'b')), '5')
  t.match(other, { created: true, version: '5' })
  t.match(await client.versions('colours'), {
    items: [
      { version: '1', aliases: [] },
      { version: '5', aliases: ['development'] },
    ],
    broken: [],
  })
  t.same(await client.models(), [
    { name: 'colours', versions: 2, latest: '5', aliases: { development: '5' }, broken: [] },
  ])
  const { created: _, ...view } = uploaded
  t.match(await client.modelVersion('colours', '1'), {
    ...view,
    aliases: [],
    manifest: { name: 'colours', version: '1', digest: uploaded.digest, trainedOn: 'a' },
  })
  t.match(audit.list(), [
    { actor: 'ada', subject: 'colours/5' },
    { actor: 'ada', subject: 'colours/1' },
  ])
  t.same(await left(), ['colours'], 'no upload is left')
  const pointed = await fetch(`${url}/v1/models/colours/aliases/development`)
  t.equal(pointed.headers.get('etag'), '"5"')
  t.match(await pointed.json(), { version: '5' })
})

t.test('an alias moves by hand only to a version that is seen serving, by its digest', async t => {
  const { client, registry, running, audit } = await startRegistryApi(t)
  const { version, digest } = await client.registerVersion('colours', await filesOf(await trained(t, 'a')))
  const point = async () => client.setAlias('colours', 'production', version, { reason: 'tried by hand' })
  await t.rejects(point(), { code: 'version_not_serving' }, 'nothing runs')
  running.set('a', { model: 'colours', version, digest: 'sha256:another' })
  await t.rejects(point(), { code: 'version_not_serving' }, 'something else answers under its number')
  running.set('b', { model: 'shades', version, digest })
  await t.rejects(point(), { code: 'version_not_serving' }, 'it answers under another name')
  t.same(await registry.aliases('colours'), { development: version })
  running.set('a', { model: 'colours', version, digest })
  t.same(await point(), { model: 'colours', alias: 'production', version })
  t.match(audit.list({ limit: 1 }), [{ actor: 'ada', action: 'set-alias', reason: 'tried by hand' }])
  const stale = client.setAlias('colours', 'production', version, { ifMatch: '7' })
  await t.rejects(stale, { code: 'precondition_failed' })
  await registry.markFailed('colours', version, { actor: 'pipeline', reason: 'slow' })
  await t.rejects(point(), { code: 'version_failed', message: /failed: slow/ })
  t.same(await client.setAlias('colours', 'production', null, { ifMatch: version }), {
    model: 'colours',
    alias: 'production',
    version: null,
  })
  t.same(await registry.aliases('colours'), { development: version }, 'taking away needs nothing')
})

t.test('every bad upload is refused with its own code, and nothing of it is left', async t => {
  const { url, left } = await startRegistryApi(t, { maxBytes: 20_000 })
  const folder = await trained(t, 'a')
  const manifest = await readFile(join(folder, 'model.json'), 'utf8')
  const model = await readFile(join(folder, 'model.onnx'), 'latin1')
  const form = (...fields: [string, string][]) => {
    const form = new FormData()
    for (const [name, text] of fields) form.append(name, new Blob([Buffer.from(text, 'latin1')]))
    return form
  }
  const whole: [string, string][] = [
    ['model.json', manifest],
    ['model.onnx', model],
  ]
  const json = { 'content-type': 'application/json' }
  const refusals: Record<string, [status: number, code: string, path: string, init: RequestInit]> = {
    'no form': [415, 'unsupported_media_type', 'colours/versions', { body: '{}', headers: json }],
    'nothing at all': [400, 'invalid_multipart', 'colours/versions', {}],
    'a broken form': [
      400,
      'invalid_multipart',
      'colours/versions',
      {
        body: '--x\r\n',
        headers: { 'content-type': 'multipart/form-data; boundary=x' },
      },
    ],
    'no manifest': [400, 'missing_file', 'colours/versions', { body: form(['model.onnx', model]) }],
    'no model': [400, 'missing_file', 'colours/versions', { body: form(['model.json', manifest]) }],
    'a damaged model': [
      422,
      'digest_mismatch',
      'colours/versions',
      {
        body: form(['model.json', manifest], ['model.onnx', `${model}x`]),
      },
    ],
    'a manifest that is none': [
      422,
      'invalid_manifest',
      'colours/versions',
      { body: form(['model.json', '[]']) },
    ],
    'a path that leads out': [400, 'bad_request', 'colours/versions', { body: form(['../../evil', 'x']) }],
    'an absolute path': [400, 'bad_request', 'colours/versions', { body: form(['/etc/passwd', 'x']) }],
    'a file twice': [400, 'bad_request', 'colours/versions', { body: form(...whole, ['model.json', '{}']) }],
    'a file as a folder': [400, 'bad_request', 'colours/versions', { body: form(['a', 'x'], ['a/b', 'x']) }],
    'a folder for the model': [
      400,
      'missing_file',
      'colours/versions',
      {
        body: form(['model.json', manifest], ['model.onnx/x', 'x']),
      },
    ],
    'too much': [
      413,
      'body_too_large',
      'colours/versions',
      { body: form(...whole, ['x', 'x'.repeat(20_000)]) },
    ],
    'a bad name': [422, 'invalid_setting', '.colours/versions', { body: form(...whole) }],
    'a bad number': [422, 'invalid_setting', 'colours/versions?version=a%2Fb', { body: form(...whole) }],
    'a misspelt parameter': [400, 'bad_request', 'colours/versions?verison=3', { body: form(...whole) }],
  }
  for (const [name, [status, code, path, init]] of Object.entries(refusals)) {
    const response = await fetch(`${url}/v1/models/${path}`, { method: 'POST', ...init })
    t.match(
      { status: response.status, body: await response.json() },
      { status, body: { error: { code } } },
      name,
    )
    t.same(await left(), [], name)
  }
})

t.test('bad requests for aliases are refused', async t => {
  const { url, client } = await startRegistryApi(t)
  await client.registerVersion('colours', await filesOf(await trained(t, 'a')))
  const put = async (path: string, body: string, headers = {}) => {
    const init = { method: 'PUT', body, headers: { 'content-type': 'application/json', ...headers } }
    const response = await fetch(`${url}/v1/models/${path}`, init)
    return [response.status, ((await response.json()) as { error: { code: string } }).error.code]
  }
  t.same(await put('colours/aliases/champion', '{"version":"1"}'), [400, 'bad_request'])
  t.same(await put('colours/aliases/canary', '{"verison":"1"}'), [400, 'bad_request'])
  t.same(await put('colours/aliases/canary', '{'), [400, 'invalid_json'])
  t.same(await put('colours/aliases/canary', '{"version":"9"}'), [404, 'version_not_found'])
  t.same(await put('nothing/aliases/canary', '{"version":"1"}'), [404, 'model_not_found'])
  t.same(await put('colours/aliases/canary', `{"version":null}`, { 'if-match': '"1", "2"' }), [
    400,
    'bad_request',
  ])
  t.same(await put('colours/aliases/canary', 'x'.repeat(JSON_LIMIT_BYTES + 1)), [413, 'body_too_large'])
  const none = await fetch(`${url}/v1/models/colours/aliases/canary`)
  t.match(await none.json(), { error: { code: 'alias_not_found' } })
})

const HEAD = 'POST /v1/models/colours/versions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n'
const FORM = 'Content-Type: multipart/form-data; boundary=x\r\n\r\n'
const PART = '--x\r\nContent-Disposition: form-data; name="model.onnx"\r\n\r\n'
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`

t.test('an upload that stands still is given up', async t => {
  const { url, left } = await startRegistryApi(t, { idleMs: 200 })
  const socket = await dial(t, url)
  socket.write(HEAD + FORM + chunk(`${PART}some`))
  t.match(await said(socket), /^HTTP\/1\.1 408 [^]*"code":"request_timeout"/)
  await until('cleaned up', 5000, async () => (await left()).length === 0)
})

t.test('a size that nobody announced is limited all the same, and the connection does not stay', async t => {
  const { url, left } = await startRegistryApi(t, { maxBytes: 1000 })
  const socket = await dial(t, url)
  socket.write(HEAD + FORM + chunk(PART + 'x'.repeat(2000)))
  t.match(await said(socket), /^HTTP\/1\.1 413 [^]*"code":"body_too_large"/)
  t.same(await left(), [])
})

t.test('a sender that goes away leaves nothing', async t => {
  const { url, left } = await startRegistryApi(t)
  const socket = await dial(t, url)
  socket.write(HEAD + FORM + chunk(`${PART}some`))
  await until('it has begun', 5000, async () => (await left()).length === 1)
  socket.destroy()
  await until('cleaned up', 5000, async () => (await left()).length === 0)
  t.same(await left(), [])
})

t.test('what an earlier process was receiving is removed at the start', async t => {
  const dir = temporary(t)
  await writeFile(join(dir, 'half'), 'x')
  createUploads(dir)
  t.same(await readdir(dir).catch(() => []), [])
})

async function dial(t: Test, url: string) {
  const { port, hostname } = new URL(url)
  const socket = connect(Number(port), hostname)
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Everything until the other side ends it. */
async function said(socket: AsyncIterable<Buffer>): Promise<string> {
  let text = ''
  for await (const piece of socket) text += piece.toString('latin1')
  return text
}
