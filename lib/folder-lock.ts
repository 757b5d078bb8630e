import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export class FolderInUse extends Error {}

/**
 * Claims a folder for this process under a name, until the process ends however it ends: the lock is the operating system's,
 * taken by SQLite on an empty database, so a recorded pid that another program has by now means nothing. Throws FolderInUse,
 * naming the holder. The result gives it back.
 */
export function lockFolder(dir: string, name: string): () => void {
  const pidFile = join(dir, `${name}.pid`)
  const db = openLock(dir, name)
  try {
    db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE') // nothing is ever written: no journal beside it
  } catch (cause) {
    db.close()
    if ((cause as { errcode?: unknown }).errcode !== SQLITE_BUSY) throw cause
    const message = `the state folder ${dir} is in use by process ${readPid(pidFile)}; stop it or name another with --state`
    throw new FolderInUse(message, { cause })
  }
  writeFileSync(pidFile, String(process.pid))
  held.add(db)
  return () => {
    if (held.delete(db)) db.close()
  }
}

function openLock(dir: string, name: string): DatabaseSync {
  try {
    mkdirSync(dir, { recursive: true })
    return new DatabaseSync(join(dir, `${name}.lock`))
  } catch (cause) {
    throw new Error(`the state folder ${dir} cannot be written; name another with --state or WEIR_STATE`, {
      cause,
    })
  }
}

/** A database that nobody refers to is closed by the garbage collector, and its lock would be gone. */
const held = new Set<DatabaseSync>()
const SQLITE_BUSY = 5

/** Only to be told: the lock says whether it is in use. */
function readPid(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return 'unknown' // the holder has not written it yet
  }
}
