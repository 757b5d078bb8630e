import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WeirError } from '../../contract/errors.ts'
import { isAlive } from '../../lib/shutdown.ts'

const MARK = 'weir.pid'

/**
 * Makes the state folder ready and claims it for this process. `fresh` empties it first, but only a folder that Weir made:
 * somebody's own folder named by mistake is left alone. Throws `conflict` when another `weir up` holds it.
 */
export async function claimStateFolder(dir: string, { fresh }: { fresh: boolean }): Promise<void> {
  const holder = await readFile(join(dir, MARK), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  const pid = Number(holder)
  if (holder !== undefined && pid > 0 && pid !== process.pid && isAlive(pid)) {
    throw new WeirError(
      'conflict',
      `the state folder ${dir} is in use by process ${pid}; stop it or name another with --state`,
    )
  }
  const entries = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] // making it is next
    throw error
  })
  if (holder === undefined && entries.length > 0) {
    throw new WeirError(
      'conflict',
      `${dir} is no state folder of Weir and not empty; name another with --state`,
    )
  }
  if (fresh) await rm(dir, { recursive: true, force: true })
  await mkdir(join(dir, 'logs'), { recursive: true })
  await writeFile(join(dir, MARK), String(process.pid))
}
