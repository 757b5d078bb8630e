import { mkdir, mkdtemp, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { claimStateFolder } from '../../cli/up/state-folder.ts'

const folder = () => mkdtemp(join(tmpdir(), 'weir-'))

t.test('a folder can be claimed again by the same process, and what is in it stays', async t => {
  const dir = await folder()
  await claimStateFolder(dir, { fresh: false })
  await writeFile(join(dir, 'gateway.yaml'), 'x')
  await claimStateFolder(dir, { fresh: false })
  t.same((await readdir(dir)).toSorted(), ['gateway.yaml', 'logs', 'weir.pid'])
})

t.test('--fresh empties a state folder, but never one that Weir did not make', async t => {
  const dir = await folder()
  await claimStateFolder(dir, { fresh: false })
  await writeFile(join(dir, 'controller.db'), 'x')
  await claimStateFolder(dir, { fresh: true })
  t.same((await readdir(dir)).toSorted(), ['logs', 'weir.pid'])

  const photos = await folder()
  await writeFile(join(photos, 'holiday.jpg'), 'x')
  await t.rejects(claimStateFolder(photos, { fresh: true }), { code: 'conflict' })
  t.same(await readdir(photos), ['holiday.jpg'])
})

t.test('a folder that another process holds is refused with its pid', async t => {
  const dir = await folder()
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, 'weir.pid'), String(process.ppid))
  await t.rejects(claimStateFolder(dir, { fresh: false }), { message: new RegExp(`process ${process.ppid}`) })
})
