import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { WeirError } from '../../contract/errors.ts'
import { FolderInUse, lockFolder } from '../../lib/folder-lock.ts'

const NAME = 'weir'
/** What a claim itself makes; emptying the folder must leave it, or a second process would lock another file. */
const OF_THE_LOCK = new Set([`${NAME}.lock`, `${NAME}.pid`])
/** What people write there themselves, also before the first start; no state that could be forgotten. */
const SETTINGS = new Set(['environments.yaml', 'alerts.yaml'])

/**
 * Makes the state folder ready and claims it until this process ends. `fresh` empties it first, but only a folder that Weir
 * made: somebody's own folder named by mistake is left alone. Throws `conflict` when another `weir up` holds it. The result
 * gives it back.
 */
export async function claimStateFolder(dir: string, { fresh }: { fresh: boolean }): Promise<() => void> {
  const entries = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] // making it is next
    throw error
  })
  const others = entries.filter(entry => !SETTINGS.has(entry))
  if (others.length > 0 && !others.some(entry => OF_THE_LOCK.has(entry))) {
    throw new WeirError(
      'conflict',
      `${dir} is no state folder of Weir and not empty; name another with --state`,
    )
  }
  const release = lock(dir)
  const old = fresh ? others.filter(entry => !OF_THE_LOCK.has(entry)) : []
  await Promise.all(old.map(entry => rm(join(dir, entry), { recursive: true, force: true })))
  await mkdir(join(dir, 'logs'), { recursive: true })
  return release
}

function lock(dir: string): () => void {
  try {
    return lockFolder(dir, NAME)
  } catch (cause) {
    if (cause instanceof FolderInUse) throw new WeirError('conflict', cause.message, { cause })
    throw cause
  }
}
