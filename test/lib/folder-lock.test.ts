import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { FolderInUse, lockFolder } from '../../lib/folder-lock.ts'

function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'weir-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Another process that holds the folder. */
async function holder(t: Test, dir: string) {
  const module = new URL('../../lib/folder-lock.ts', import.meta.url).href
  const program = `
    const { lockFolder } = await import('${module}')
    lockFolder(process.argv[1], 'controller')
    process.stdout.write('locked')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, dir])
  t.teardown(() => child.kill('SIGKILL'))
  await new Promise(resolve => child.stdout.once('data', resolve))
  return child
}

t.test(
  'a folder that another process holds is refused with its pid, and free again when that is killed',
  async t => {
    const dir = folder(t)
    const child = await holder(t, dir)
    t.throws(
      () => lockFolder(dir, 'controller'),
      new FolderInUse(
        `the state folder ${dir} is in use by process ${child.pid}; stop it or name another with --state`,
      ),
    )
    t.teardown(lockFolder(dir, 'gateway')) // another part of Weir
    child.kill('SIGKILL')
    await new Promise(resolve => child.once('exit', resolve))
    t.teardown(lockFolder(dir, 'controller'))
  },
)

t.test('a folder that cannot be made or written is refused by the name of the setting', async t => {
  const dir = folder(t)
  writeFileSync(join(dir, 'file'), '')
  const message = /the state folder .*file.* cannot be written; name another with --state or WEIR_STATE/
  t.throws(() => lockFolder(join(dir, 'file'), 'controller'), { message })
  t.throws(() => lockFolder(join(dir, 'file', 'below'), 'controller'), { message })
})

// A pid that is alive says nothing: after a restart of the machine it is somebody else's.
t.test('a pid that was left behind and that another program has by now locks nothing', async t => {
  const dir = folder(t)
  writeFileSync(join(dir, 'controller.pid'), String(process.ppid))
  t.teardown(lockFolder(dir, 'controller'))
})
