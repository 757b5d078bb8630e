import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { UpOptions } from '../../cli/up/up.ts'
import { welcome } from '../../cli/up/welcome.ts'
import { json, listen } from '../controller/small-gateway.ts'

// What is set wrongly is said in one line that names the setting.

function weir(args: readonly string[], env: Record<string, string> = {}) {
  return new Promise<{ code: unknown; stdout: string; stderr: string }>(resolve =>
    execFile(
      process.execPath,
      ['cli/weir.ts', ...args],
      { env: { ...process.env, ...env } },
      (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }),
    ),
  )
}

t.test('an address that is none is refused by the name of its setting', async t => {
  t.match(await weir(['status'], { WEIR_GATEWAY: 'foo' }), {
    code: 1,
    stderr: /^weir: "foo" is no address: --gateway or WEIR_GATEWAY must be .*\n$/,
  })
  t.match(await weir(['rollout', 'list', '--controller', 'ftp://x']), {
    code: 1,
    stderr: /--controller or WEIR_CONTROLLER/,
  })
  t.match(await weir(['load', '--url', 'foo']), { code: 1, stderr: /--url must be/ })
})

t.test('a rollout file that is no YAML is named', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-settings-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'rollout.yaml')
  writeFileSync(file, 'spec: [route\n')
  const { code, stderr } = await weir(['rollout', 'start', 'food11', '--to', '2', '--file', file])
  t.equal(code, 1)
  t.ok(stderr.startsWith(`weir: ${file} cannot be read: `), stderr)
  t.equal(stderr.trim().split('\n').length, 1)
})

t.test(
  "a controller's options are refused by name, and so is a state folder that cannot be written",
  async t => {
    t.match(await weir(['controller', '--port', 'abc', '--gateway', 'nonsense']), {
      code: 1,
      stderr: /--port must be a port, 0 to 65535; --gateway must be an address/,
    })
    const dir = mkdtempSync(join(tmpdir(), 'weir-'))
    t.teardown(() => rmSync(dir, { recursive: true, force: true }))
    writeFileSync(join(dir, 'file'), '')
    t.match(await weir(['controller', '--port', '0', '--state', join(dir, 'file', 'state')]), {
      code: 1,
      stderr: /the state folder .* cannot be written; name another with --state or WEIR_STATE/,
    })
  },
)

t.test('an export into a folder that is missing names --dir', async t => {
  const controller = await listen(t, (_, response) => json(response, { rollout: {}, history: {} }))
  const dir = join(tmpdir(), `weir-never-made-${process.pid}`)
  t.match(await weir(['rollout', 'export', 'food11-v2', '--controller', controller, '--dir', dir]), {
    code: 1,
    stderr: /--dir ".*" is no folder/,
  })
})

t.test('a load that nobody answers says so', async t => {
  const url = await listen(t, request => request.destroy())
  const { code, stdout } = await weir(['load', '--url', url, '--duration', '300ms', '--rate', '20'])
  t.equal(code, 1)
  t.match(stdout, /^(\d+) sent, \1 failed: nothing answered \(.+\)\n$/)
})

t.test('the welcome tells verbs where to look, where that is not the usual place', async t => {
  const options = {
    host: '127.0.0.1',
    port: '8080',
    operatorPort: '8081',
    controllerPort: '8090',
    models: 'models',
    model: 'food11',
    candidate: '2',
  } as UpOptions
  const facts = { versions: { stable: '1', candidate: '2' }, weights: { stable: 100, candidate: 0 } }
  t.notMatch(await welcome({ options, ...facts }), /--(gateway|controller|url) /)
  const moved = { ...options, port: '1080', operatorPort: '1081', controllerPort: '1090' }
  const text = await welcome({ options: moved, ...facts })
  t.match(
    text,
    /npx weir status --gateway http:\/\/127\.0\.0\.1:1081 --controller http:\/\/127\.0\.0\.1:1090\n/,
  )
  const alone = await welcome({ options, ...facts, versions: { stable: '1' } })
  t.match(alone, /stable is version 1 with 100 % of the traffic, candidate runs no version\.\n/)
  t.match(text, /candidate=20 --gateway http:\/\/127\.0\.0\.1:1081\n/)
  t.match(text, /--duration 150s --url http:\/\/127\.0\.0\.1:1080 &/)
  t.match(text, /--wait --controller http:\/\/127\.0\.0\.1:1090\n/)
})
