import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { keptSecret } from '../../lib/kept-secret.ts'

t.test('a secret is made once, kept over restarts and readable by its owner alone', async t => {
  const path = join(t.testdir(), 'key')
  t.equal(await keptSecret(path, () => 'one'), 'one')
  t.equal(await keptSecret(path, () => 'two'), 'one')
  t.equal(await readFile(path, 'utf8'), 'one\n')
  t.equal((await stat(path)).mode & 0o777, 0o600)
})

t.test('what somebody wrote there is taken, but for an empty file', async t => {
  const path = join(t.testdir(), 'key')
  await writeFile(path, '  theirs\n\n')
  t.equal(await keptSecret(path, () => 'mine'), 'theirs')
  await writeFile(path, '\n')
  t.equal(await keptSecret(path, () => 'mine'), 'mine')
})

t.test('a file that cannot be read is an error, not a reason to make another secret', async t => {
  const folder = t.testdir({ key: {} })
  await t.rejects(
    keptSecret(join(folder, 'key'), () => 'mine'),
    { code: 'EISDIR' },
  )
})
