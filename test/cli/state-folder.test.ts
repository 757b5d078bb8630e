import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { claimStateFolder } from '../../cli/up/state-folder.ts'

async function folder(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'weir-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return dir
}

async function claim(t: Test, dir: string, fresh = false): Promise<() => void> {
  const release = await claimStateFolder(dir, { fresh })
  t.teardown(release)
  return release
}

const OF_THE_LOCK = ['weir.lock', 'weir.pid']

t.test('a folder that was given back can be claimed again, and what is in it stays', async t => {
  const dir = await folder(t)
  ;(await claim(t, dir))()
  await writeFile(join(dir, 'gateway.yaml'), 'x')
  await claim(t, dir)
  t.same((await readdir(dir)).toSorted(), ['gateway.yaml', 'logs', ...OF_THE_LOCK])
})

t.test('settings may lie there before the first start, and stay when the state is forgotten', async t => {
  const dir = await folder(t)
  await writeFile(join(dir, 'environments.yaml'), 'keepWarm: 1m\n')
  ;(await claim(t, dir))()
  await writeFile(join(dir, 'controller.db'), 'x')
  await claim(t, dir, true)
  t.same((await readdir(dir)).toSorted(), ['environments.yaml', 'logs', ...OF_THE_LOCK])
  const mixed = await folder(t)
  for (const name of ['alerts.yaml', 'holiday.jpg']) await writeFile(join(mixed, name), 'x')
  await t.rejects(claimStateFolder(mixed, { fresh: true }), { code: 'conflict' })
})

t.test('--fresh empties a state folder, but never one that Weir did not make', async t => {
  const dir = await folder(t)
  ;(await claim(t, dir))()
  await writeFile(join(dir, 'controller.db'), 'x')
  await claim(t, dir, true)
  t.same((await readdir(dir)).toSorted(), ['logs', ...OF_THE_LOCK])
  await t.rejects(claimStateFolder(dir, { fresh: true }), { code: 'conflict' }, 'emptying keeps the claim')

  const photos = await folder(t)
  await writeFile(join(photos, 'holiday.jpg'), 'x')
  await t.rejects(claimStateFolder(photos, { fresh: true }), { code: 'conflict' })
  t.same(await readdir(photos), ['holiday.jpg'])
})
