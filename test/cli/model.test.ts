import { execFile } from 'node:child_process'
import { cp, mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readVersionFiles } from '../../cli/version-files.ts'
import { json, listen } from '../controller/small-gateway.ts'
import { startRegistryApi } from '../controller/registry-server.ts'
import { temporary, trained } from '../controller/registry-suite.ts'
import { writeCustomFolder } from '../serving/custom-folder.ts'

// What a person is told by `weir model`.

function weir(url: string, ...args: readonly string[]) {
  return new Promise<{ code: unknown; stdout: string; stderr: string }>(resolve =>
    execFile(
      process.execPath,
      ['cli/weir.ts', 'model', ...args, '--controller', url],
      (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }),
    ),
  )
}

t.test('a version is registered, listed and shown; the same content again is said to be there', async t => {
  const { url, registry } = await startRegistryApi(t)
  const folder = await trained(t, 'a')
  const digest = /sha256:[0-9a-f]{64}/.source
  t.match(await weir(url, 'register', folder), {
    code: 0,
    stdout: new RegExp(`^colours/1: registered; aliases: development \\(${digest}\\)\n$`),
  })
  t.match(await weir(url, 'list'), { stdout: /^colours +1  1 +1 +- +- +-$/m })
  t.match(await weir(url, 'list', 'colours'), { stdout: /^1 +development +\d{4}-.* sha256:[0-9a-f]{12}$/m })
  t.match(await weir(url, 'show', 'colours/1'), { stdout: new RegExp(`^ {2}digest +${digest}$`, 'm') })
  t.match(await weir(url, 'register', folder), {
    stdout: /^colours\/1: has this content already, no version was added; aliases: development/,
  })
  await registry.markFailed('colours', '1', { actor: 'pipeline', reason: 'slow\nas ever' })
  t.match(await weir(url, 'register', folder), { stdout: /\nit failed: slow\\nas ever\n$/ })
})

t.test('where registrations start a pipeline, it is said how to follow its run', async t => {
  const registered = { model: 'colours', version: '3', digest: `sha256:${'0'.repeat(64)}`, aliases: [] }
  const url = await listen(t, (request, response) => {
    request.resume()
    if (request.url === '/v1/pipelines') return json(response, { items: [] })
    response.statusCode = 201
    json(response, { ...registered, registeredAt: null, registeredBy: null, failed: null })
  })
  t.match(await weir(url, 'register', await trained(t, 'a')), {
    code: 0,
    stdout: /^colours\/3: registered; .*\n.*weir pipeline list; .*weir pipeline show RUN --watch\n$/,
  })
})

t.test('a folder that cannot be used is listed with why, and hides no other', async t => {
  const { url, models } = await startRegistryApi(t)
  await weir(url, 'register', await trained(t, 'a'))
  await cp(join(models, 'colours/1'), join(models, 'colours/2'), { recursive: true })
  await rm(join(models, 'colours/2/model.onnx'))
  await symlink(await trained(t, 'on another disk'), join(models, 'colours/3'))
  for (const args of [['list'], ['list', 'colours']]) {
    const { stdout } = await weir(url, ...args)
    t.match(stdout, /^colours\/2 cannot be used: model\.onnx is missing$/m)
    t.notMatch(stdout, /colours\/[13]/)
  }
  t.match(await weir(url, 'show', 'colours/2'), { code: 1, stderr: /colours\/2: model\.onnx is missing/ })
  t.match(await weir(url, 'show', 'colours/1'), { code: 0 })
  const { stdout: json } = await weir(url, 'list', 'colours', '--json')
  t.match(JSON.parse(json), { items: [{ version: '1' }, { version: '3' }], broken: [{ version: '2' }] })
})

t.test('what cannot be registered is said in one line, and nothing is sent', async t => {
  const { url, registry } = await startRegistryApi(t)
  const good = await trained(t, 'a')
  const instead = async (file: string, lay: (path: string) => Promise<unknown>) => {
    const folder = temporary(t)
    await cp(good, folder, { recursive: true })
    await rm(join(folder, file))
    await lay(join(folder, file))
    return folder
  }
  const secret = join(temporary(t), 'secret')
  await writeFile(secret, 'nobody else may read this')
  const unlisted = await writeCustomFolder(temporary(t), { server: { files: [] } })
  const cases: readonly [folder: string, told: RegExp][] = [
    [join(good, 'none'), /there is no folder .*none$/],
    [join(good, 'model.json'), /is a file: name the folder that has model\.json$/],
    [temporary(t), /model\.json does not exist, and it is no version without it/],
    [await instead('model.json', async path => writeFile(path, '{')), /model\.json is not JSON/],
    [await instead('model.json', async path => mkdir(path)), /model\.json is no file/],
    [await instead('model.onnx', async () => {}), /model\.onnx does not exist, and model\.json names it$/],
    [
      await instead('model.onnx', async path => mkdir(path)),
      /model\.onnx is no file, and model\.json names it$/,
    ],
    [await instead('model.onnx', async path => symlink('nowhere', path)), /model\.onnx does not exist/],
    [
      await instead('model.onnx', async path => symlink(secret, path)),
      /leads out of the folder, to .*secret: put/,
    ],
    [unlisted, /the command names server\.mjs, which server\.files does not list$/],
  ]
  for (const [folder, message] of cases) await t.rejects(readVersionFiles(folder), { message })
  const folder = await instead('model.onnx', async path => mkdir(path))
  t.match(await weir(url, 'register', folder), { code: 1, stderr: /^weir: [^\n]+ is no file[^\n]+\n$/ })
  await rm(join(folder, 'model.onnx'), { recursive: true })
  await writeFile(join(folder, 'model.onnx'), '')
  await truncate(join(folder, 'model.onnx'), 3 * 1024 ** 3)
  t.match(await weir(url, 'register', folder), { code: 1, stderr: /together may have 2112 MiB\n$/ })
  t.match(await weir(url, 'register', good, '--name', 'a b'), {
    code: 1,
    stderr: /"a b" must be 1 to 63 letters/,
  })
  t.match(await weir(url, 'register', good, '--version', '../3'), { code: 1, stderr: /"\.\.\/3" must be/ })
  t.same(await registry.models(), [])
})

t.test('a link within the folder is followed', async t => {
  const { url, registry } = await startRegistryApi(t)
  const folder = await trained(t, 'a')
  await cp(join(folder, 'model.onnx'), join(folder, 'best.onnx'))
  await rm(join(folder, 'model.onnx'))
  await symlink('best.onnx', join(folder, 'model.onnx'))
  t.match(await weir(url, 'register', folder), { code: 0 })
  t.equal((await registry.versions('colours')).length, 1)
})

t.test('what is not there is named', async t => {
  const { url } = await startRegistryApi(t)
  await weir(url, 'register', await trained(t, 'a'))
  const cases: readonly [args: readonly string[], told: RegExp][] = [
    [['list', 'nothing'], /no model "nothing"/],
    [['list', 'a/b'], /"a\/b" is no name of a model/],
    [['show', 'colours'], /must be a model and a version, such as food11\/2/],
    [['show', 'colours/9'], /no version "9" of model "colours"/],
    [
      ['alias', 'colours', 'champion', '1'],
      /"champion" must be one of development, staging, canary, production/,
    ],
    [['alias', 'colours', 'canary', '9'], /no version "9" of model "colours"/],
    [['alias', 'nothing', 'canary', '1'], /no model "nothing"/],
    [
      ['alias', 'colours', 'canary', '1'],
      /no model server answers as version 1 of colours .*: deploy it first/,
    ],
    [['alias', 'colours', 'canary', '1', '--if', '1,2'], /--if must be one version, such as 2, not "1,2"/],
  ]
  for (const [args, told] of cases)
    t.match(await weir(url, ...args), { code: 1, stderr: told }, args.join(' '))
})

t.test('an alias is set, moved only from where it is expected, and taken away', async t => {
  const { url, running } = await startRegistryApi(t)
  for (const [index, change] of ['a', 'b'].entries()) {
    const { stdout } = await weir(url, 'register', await trained(t, change), '--json')
    const { digest } = JSON.parse(stdout) as { digest: string }
    running.set(change, { model: 'colours', version: String(index + 1), digest })
  }
  const point = async (...args: string[]) => {
    const { stdout, stderr } = await weir(url, 'alias', 'colours', 'canary', ...args)
    return stdout + stderr
  }
  t.equal(await point('1'), 'colours: canary points at version 1\n')
  t.equal(await point('2', '--if', '2'), 'weir: canary points at version 1, not at 2\n')
  t.equal(await point('2', '--if', '1'), 'colours: canary points at version 2\n')
  t.equal(await point('none'), 'colours: canary points at nothing\n')
})
