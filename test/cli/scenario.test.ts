import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { describeKnown } from '../../cli/render/known-version.ts'
import { readBase, writeVersion } from '../../cli/scenario/version-content.ts'
import { SCENARIOS } from '../../cli/scenario/scenarios.ts'
import { readContent } from '../../controller/registry/content.ts'
import { startRegistryApi } from '../controller/registry-server.ts'
import { colourManifest, writeModelFolder } from '../serving/model-folder.ts'
import { startProcess } from '../serving/start-process.ts'
import { ask, postBytes } from '../serving/start-server.ts'
import { plain, RED } from '../serving/photos.ts'

function weir(...args: readonly string[]) {
  return new Promise<{ code: unknown; stdout: string; stderr: string }>(resolve =>
    execFile(process.execPath, ['cli/weir.ts', 'scenario', ...args], (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    ),
  )
}

/** In a process of its own: what it has in memory must not count that of this test. */
async function serve(t: Test, folder: string): Promise<string> {
  const { line } = startProcess(t, ['--model', folder, '--port', '0', '--workers', '1'])
  const { address = '' } = await line('listening')
  await line('ready')
  return address
}

t.test('--list says what each scenario shows and which gate stops it', async t => {
  const { stdout } = await weir('--list')
  for (const [name, { shows, stoppedAt }] of Object.entries(SCENARIOS))
    t.match(stdout, new RegExp(`^${name} +${stoppedAt} +${shows}$`, 'm'))
  const { stdout: json } = await weir('--list', '--json')
  t.same(
    (JSON.parse(json) as { items: { name: string }[] }).items.map(({ name }) => name),
    ['bad-architecture', 'oversized', 'crash-loop', 'slow', 'flaky', 'degraded'],
  )
})

t.test('what cannot be built is said in one line', async t => {
  const out = join(t.testdir({ full: { file: '' } }), 'full')
  for (const [args, reason] of [
    [[], /name a scenario; weir scenario --list/],
    [['nothing'], /no scenario "nothing": bad-architecture, /],
    [['slow', '--out', out], /is not empty/],
    [['slow', '--base', out], /--base .* has no model\.json/],
    [
      ['oversized', '--out', join(out, 'x'), '--memory-limit-mib', '1'],
      /--memory-limit-mib must be .* 256 to 8192/,
    ],
    [
      ['degraded', '--base', 'models/food11/2', '--out', join(out, 'x')],
      /no classifier of float32 .* choose another --base/,
    ],
    [['slow', '--controller', 'http://127.0.0.1:1'], /nothing answers at http:\/\/127\.0\.0\.1:1/],
  ] as const)
    t.match(await weir(...args), { code: 1, stderr: reason }, args.join(' '))
})

t.test('every scenario is a version that can be registered, called whatever one likes', async t => {
  const base = await readBase('models/food11/1')
  const parent = t.testdir()
  for (const [name, { build }] of Object.entries(SCENARIOS)) {
    const folder = join(parent, name)
    const digest = await writeVersion(folder, build(base, { name: 'anything', memoryLimitMiB: 256 }))
    const { manifest } = await readContent(folder)
    t.match(manifest, { name: 'food11', version: 'anything', digest, memoryLimitMiB: 256 }, name)
  }
})

t.test('it is registered through the API, as the next version', async t => {
  const { url, registry, models } = await startRegistryApi(t)
  t.match(await weir('slow', '--controller', url), {
    code: 0,
    stdout:
      /^food11\/1 \(sha256:[0-9a-f]{64}\): the same model, each answer 2\.5 seconds late\n.*gate load\n$/,
  })
  t.match(await weir('crash-loop', '--controller', url, '--json'), { code: 0, stdout: /"version": "2"/ })
  t.match(await registry.aliases('food11'), { development: '2' })
  t.same(await readdir(join(models, 'food11')), ['1', '2'])

  const { stdout: known } = await weir('slow', '--controller', url)
  t.match(known, /^food11\/1 is this content already \(sha256:[0-9a-f]{64}\): nothing was registered\n/)
  t.match(known, /weir pipeline run food11 1\n.* add --again\n$/)
  await registry.markFailed('food11', '1', { actor: 'pipeline', reason: 'p95 of 2.6 s' })
  const { stdout: failed } = await weir('slow', '--controller', url)
  t.match(failed, /^food11\/1 is this .*\nit failed: p95 of 2\.6 s\n.* add --again\n$/)
  t.notMatch(failed, /pipeline run/, 'it would be refused')
  t.match(await registry.aliases('food11'), { development: '2' })

  const again = await weir('slow', '--controller', url, '--again')
  t.match(again.stdout, /^food11\/3 .*\nits pipeline should stop at the gate load\n$/)
  const { manifest } = await readContent(join(models, 'food11', '3'))
  t.match(manifest, { drill: { delayMs: 2500 }, trainedOn: { rehearsal: /^\d{4}-/ } })
})

t.test('while its pipeline is under way, that is what is said of content that is there', async t => {
  const version = { model: 'food11', version: '3', digest: 'sha256:x', aliases: [], failed: null }
  const known = { ...version, registeredAt: null, registeredBy: null }
  const run = { id: 'food11-v3', model: 'food11', modelVersion: '3', phase: 'Running' } as const
  const others = [
    { ...run, id: 'food11-v2', modelVersion: '2' },
    { ...run, id: 'soup-v3', model: 'soup' },
  ]
  t.match(
    describeKnown(known, [...others, run]),
    /\nits pipeline is under way: weir pipeline show food11-v3 --watch$/,
  )
  t.match(describeKnown(known, [...others, { ...run, phase: 'Passed' }]), /weir pipeline run food11 3\n/)
})

t.test('the ResNet answers like any model where its manifest does not say otherwise', async t => {
  const labels = Array.from({ length: 11 }, (_, index) => `class ${index}`)
  const base = await readBase('models/food11/1')
  const { model = [] } = SCENARIOS['bad-architecture']?.build(base, { name: 'x', memoryLimitMiB: 512 }) ?? {}
  const output = { name: 'logits', type: 'float32', shape: [-1, 11] }
  const folder = await writeModelFolder(t.testdir(), {
    manifest: colourManifest({ labels, output }),
    model: Buffer.concat(model),
  })
  const url = await serve(t, folder)
  t.match(await ask(`${url}/readyz`), { status: 200 })
  const answer = await postBytes(`${url}/predict`, await plain(RED).jpeg().toBuffer(), 'image/jpeg')
  t.match(answer, { status: 200, body: { label: /^class \d+$/ } })
})

t.test('padding changes nothing that is answered, and damage nothing about what is kept', async t => {
  const base = await readBase('models/food11/1')
  const answers: Record<string, { label: string; confidence: number }> = {}
  for (const name of ['oversized', 'degraded']) {
    const content = SCENARIOS[name]?.build(base, { name, memoryLimitMiB: 256 })
    if (content === undefined) throw new Error(`there is no scenario ${name}`)
    const folder = join(t.testdir(), name)
    await writeVersion(folder, { ...content, manifest: { ...content.manifest, memoryLimitMiB: 4096 } })
    const url = await serve(t, folder)
    const reference = base.files.get('reference.jpg') ?? new Uint8Array()
    answers[name] = (await postBytes(`${url}/predict`, reference, 'image/jpeg')).body
  }
  const url = await serve(t, 'models/food11/1')
  const reference = base.files.get('reference.jpg') ?? new Uint8Array()
  const expected = (await postBytes(`${url}/predict`, reference, 'image/jpeg')).body
  t.equal(answers['oversized']?.label, expected.label)
  t.ok(Math.abs((answers['oversized']?.confidence ?? 0) - expected.confidence) < 1e-5)
  t.equal(answers['degraded']?.label, expected.label)
})
