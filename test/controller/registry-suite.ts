import { mkdtempSync, rmSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { ErrorCode } from '../../contract/errors.ts'
import type { Audit } from '../../controller/audit.ts'
import type { Registry } from '../../controller/registry/registry.ts'
import { contentDigest } from '../../lib/hash.ts'
import { writeCustomFolder } from '../serving/custom-folder.ts'
import { colourManifest, writeModelFolder } from '../serving/model-folder.ts'

export interface Opened {
  readonly registry: Registry
  readonly audit: Audit
}

const ADA = { actor: 'ada' }
const SEEN = { actor: 'ada', reason: 'seen serving' }

/** A folder of its own; tap's testdir is one a test. */
export function temporary(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'weir-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Versions that differ in their content, as one trained twice does. */
export async function trained(t: Test, change: string): Promise<string> {
  return writeModelFolder(temporary(t), { manifest: colourManifest({ trainedOn: change }) })
}

export async function refused(
  t: Test,
  work: Promise<unknown>,
  code: ErrorCode,
  message: RegExp,
): Promise<void> {
  await t.rejects(work, { code, message }, code)
}

/** What every form of the registry does. `open` gives one that is empty. */
export function registrySuite(t: Test, open: (t: Test) => Promise<Opened>): void {
  t.test('registering gives the next number and moves development, and nothing else', async t => {
    const { registry } = await open(t)
    t.same(await registry.models(), [])
    const first = await registry.register('colours', await trained(t, 'a'), ADA)
    t.match(first, { created: true, version: { version: '1', registeredBy: 'ada', failed: null } })
    t.ok(Math.abs((first.version.registeredAt ?? 0) - Date.now()) < 60_000, 'the time of registration')
    await registry.setAlias('colours', 'production', '1', SEEN)
    const second = await registry.register('colours', await trained(t, 'b'), ADA)
    t.match(second, { created: true, version: { version: '2' } })
    t.same(await registry.aliases('colours'), { development: '2', production: '1' })
    t.same(await registry.versions('colours'), [first.version, second.version])
    t.same(await registry.get('colours', '1'), first.version)
    t.same(await registry.models(), ['colours'])
  })

  t.test(
    'what is fetched is what was registered, under its name and number, with its own digest',
    async t => {
      const { registry } = await open(t)
      const source = await trained(t, 'a')
      const { version } = await registry.register('shades', source, ADA)
      const folder = await registry.fetch('shades', '1')
      const model = await readFile(join(folder, 'model.onnx'))
      const manifest = JSON.parse(await readFile(join(folder, 'model.json'), 'utf8'))
      t.same(model, await readFile(join(source, 'model.onnx')))
      t.match(manifest, { name: 'shades', version: '1', trainedOn: 'a', digest: version.digest })
      t.equal(version.digest, contentDigest(model, manifest))
      t.equal(await registry.fetch('shades', '1'), folder, 'again')
    },
  )

  t.test('the same content registered again is the same version, and moves nothing', async t => {
    const { registry, audit } = await open(t)
    const source = await trained(t, 'a')
    const first = await registry.register('colours', source, ADA)
    await registry.register('colours', await trained(t, 'b'), ADA)
    const records = audit.list().length
    const again = await registry.register('colours', source, { actor: 'grace' })
    t.same(again, { version: first.version, created: false })
    t.same(await registry.aliases('colours'), { development: '2' })
    t.equal(audit.list().length, records)
    const elsewhere = await registry.register('shades', source, ADA)
    t.match(elsewhere, { created: true, version: { version: '1' } }, 'under another name it is another model')
    await refused(
      t,
      registry.register('colours', source, { ...ADA, version: '3' }),
      'version_exists',
      /is version 1 already/,
    )
  })

  t.test('a server of its own is registered with the files that its manifest lists', async t => {
    const { registry } = await open(t)
    const source = await writeCustomFolder(temporary(t))
    await writeFile(join(source, 'notes.txt'), 'not listed')
    const { version } = await registry.register('custom', source, ADA)
    const folder = await registry.fetch('custom', '1')
    const manifest = JSON.parse(await readFile(join(folder, 'model.json'), 'utf8'))
    t.equal(version.digest, contentDigest(new Uint8Array(), manifest))
    t.same(await readFile(join(folder, 'server.mjs')), await readFile(join(source, 'server.mjs')))
    await t.rejects(readFile(join(folder, 'notes.txt')), { code: 'ENOENT' })
    await writeFile(join(source, 'server.mjs'), 'other code')
    await refused(
      t,
      registry.register('custom', source, ADA),
      'digest_mismatch',
      /server\.mjs is not the file/,
    )
  })

  t.test('content that is not what its manifest says is refused, and leaves nothing', async t => {
    const { registry } = await open(t)
    await registry.register('colours', await trained(t, 'a'), ADA)
    const stated = await writeModelFolder(temporary(t), {
      manifest: colourManifest({ digest: `sha256:${'0'.repeat(64)}` }),
    })
    await refused(
      t,
      registry.register('colours', stated, ADA),
      'digest_mismatch',
      /states the digest sha256:0000/,
    )
    const register = async (files: Record<string, string>) => {
      const folder = temporary(t)
      for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
      return registry.register('colours', folder, ADA)
    }
    await refused(t, register({}), 'missing_file', /model\.json/)
    await refused(t, register({ 'model.json': '{' }), 'invalid_manifest', /not JSON/)
    await refused(t, register({ 'model.json': '[]' }), 'invalid_manifest', /no object/)
    await refused(t, register({ 'model.json': '{"size":1}' }), 'invalid_manifest', /"size"/)
    const manifest = JSON.stringify(colourManifest())
    await refused(t, register({ 'model.json': manifest }), 'missing_file', /model\.onnx/)
    for (const name of ['', '../up', 'a/b', '.hidden', 'x'.repeat(64)])
      await refused(t, registry.register(name, stated, ADA), 'invalid_setting', /letters, digits/)
    t.equal((await registry.versions('colours')).length, 1)
    t.same(await registry.models(), ['colours'])
  })

  t.test('an alias moves only as it is told, and only from where it was expected', async t => {
    const { registry, audit } = await open(t)
    for (const change of ['a', 'b']) await registry.register('colours', await trained(t, change), ADA)
    const set = (version: string | null, expected?: string | null) =>
      registry.setAlias('colours', 'canary', version, { ...SEEN, expected })
    await set('1', null)
    await refused(t, set('2', null), 'precondition_failed', /canary points at version 1/)
    await refused(t, set('2', '2'), 'precondition_failed', /canary points at version 1/)
    await set('2', '1')
    t.match(
      await registry.aliases('colours'),
      { canary: '2', development: '2' },
      'several aliases, one version',
    )
    const records = audit.list().length
    await set('2')
    t.equal(audit.list().length, records, 'what is so already is no change')
    await set(null, '2')
    await set(null)
    t.same(await registry.aliases('colours'), { development: '2' })
    await refused(t, set('3'), 'version_not_found', /3/)
    await refused(t, registry.setAlias('nothing', 'canary', '1', SEEN), 'model_not_found', /nothing/)
  })

  t.test('a failed version stays, with the reason', async t => {
    const { registry } = await open(t)
    const { version } = await registry.register('colours', await trained(t, 'a'), ADA)
    await registry.markFailed('colours', '1', { actor: 'pipeline', reason: 'p95 of 3.1 s at load' })
    t.same(await registry.get('colours', '1'), { ...version, failed: 'p95 of 3.1 s at load' })
    t.same(await registry.versions('colours'), [{ ...version, failed: 'p95 of 3.1 s at load' }])
    const none = registry.markFailed('colours', '7', { actor: 'pipeline', reason: 'slow' })
    await refused(t, none, 'version_not_found', /7/)
  })

  t.test('what is held against a version is taken back by a person, once, and is in the audit', async t => {
    const { registry, audit } = await open(t)
    const { version } = await registry.register('colours', await trained(t, 'a'), ADA)
    await registry.markFailed('colours', '1', { actor: 'pipeline', reason: 'the disk was full' })
    const decision = { actor: 'grace', reason: 'it was the disk' }
    await registry.clearFailed('colours', '1', decision)
    await registry.clearFailed('colours', '1', decision)
    t.same(await registry.get('colours', '1'), version)
    const cleared = audit.list().filter(({ action }) => action === 'clear-failure')
    t.match(cleared, [{ ...decision, subject: 'colours/1', evidence: { failed: 'the disk was full' } }])
    t.equal(cleared.length, 1)
    await registry.markFailed('colours', '1', { actor: 'pipeline', reason: 'slow' })
    t.match(await registry.get('colours', '1'), { failed: 'slow' }, 'it may fail again')
    await refused(t, registry.clearFailed('colours', '7', decision), 'version_not_found', /7/)
  })

  t.test('every change is audited with who made it and why', async t => {
    const { registry, audit } = await open(t)
    const { version } = await registry.register('colours', await trained(t, 'a'), ADA)
    await registry.setAlias('colours', 'staging', '1', { actor: 'grace', reason: 'answers at staging' })
    await registry.markFailed('colours', '1', { actor: 'pipeline', reason: 'slow' })
    t.match(audit.list().toReversed(), [
      { actor: 'ada', action: 'register', subject: 'colours/1', evidence: { digest: version.digest } },
      {
        actor: 'grace',
        action: 'set-alias',
        subject: 'colours/1',
        reason: 'answers at staging',
        evidence: { alias: 'staging', before: null, after: '1' },
      },
      { actor: 'pipeline', action: 'mark-failed', subject: 'colours/1', reason: 'slow' },
    ])
  })

  t.test('what does not exist is said by name', async t => {
    const { registry } = await open(t)
    await refused(t, registry.versions('nothing'), 'model_not_found', /nothing/)
    await refused(t, registry.get('nothing', '1'), 'model_not_found', /nothing/)
    await refused(t, registry.aliases('nothing'), 'model_not_found', /nothing/)
    await registry.register('colours', await trained(t, 'a'), ADA)
    for (const version of ['2', 'abc', '01', '9'.repeat(30)]) {
      await refused(t, registry.get('colours', version), 'version_not_found', /version/)
      await refused(t, registry.fetch('colours', version), 'version_not_found', /version/)
    }
  })

  t.test('registrations at the same moment get numbers of their own', async t => {
    const { registry } = await open(t)
    const sources = await Promise.all(['a', 'b', 'c', 'd'].map(change => trained(t, change)))
    const registered = await Promise.all(sources.map(source => registry.register('colours', source, ADA)))
    t.same(registered.map(({ version }) => version.version).toSorted(), ['1', '2', '3', '4'])
    t.same(await registry.aliases('colours'), { development: '4' })
  })
  t.test('the same content from two people at the same moment is one version', async t => {
    const { registry, audit } = await open(t)
    const source = await trained(t, 'a')
    const both = await Promise.all(
      ['ada', 'grace'].map(async actor => registry.register('colours', source, { actor })),
    )
    t.same(both.map(({ created }) => created).toSorted(), [false, true])
    const [first] = both
    t.same(
      both.map(({ version }) => version),
      [first?.version, first?.version],
    )
    t.same(await registry.versions('colours'), [first?.version])
    t.equal(audit.list().length, 1)
  })
}
