import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { writeFileAtomic } from '../../lib/atomic-file.ts'

t.test('a file is replaced whole, and nothing is left beside it', async t => {
  const path = join(await mkdtemp(join(tmpdir(), 'weir-')), 'policy.json')
  await writeFileAtomic(path, 'one')
  await writeFileAtomic(path, 'two')
  t.equal(await readFile(path, 'utf8'), 'two')
  t.same(await readdir(join(path, '..')), ['policy.json'])
})

t.test('many writers leave one whole content', async t => {
  const path = join(await mkdtemp(join(tmpdir(), 'weir-')), 'policy.json')
  const contents = Array.from({ length: 20 }, (_, n) => String(n).repeat(10_000))
  await Promise.all(contents.map(content => writeFileAtomic(path, content)))
  t.ok(contents.includes(await readFile(path, 'utf8')))
})

t.test('where it cannot be written the error says so, and the folder is as before', async t => {
  await t.rejects(writeFileAtomic('/nowhere/at/all/policy.json', 'x'), { code: 'ENOENT' })
})
