import { watch } from 'node:fs'
import type { Log } from '../../lib/log.ts'
import type { Change, PolicyStore } from './policy-store.ts'

export interface StoreWatchOptions {
  readonly dir: string
  readonly store: PolicyStore
  readonly log: Log
  readonly onChange: (change: Change) => void
  /** Faults appeared or went. */
  readonly onFault: () => void
}

/** Editors write a file in several steps; we look when they are done. */
const SETTLE_MS = 50
/**
 * Where a watch misses something (network file systems do, and it stays with a folder that was replaced), looking again finds it:
 * files that are new, and of those known so many at a time, all in turn.
 */
const LOOK_AGAIN_MS = 5000
const FILES_A_LOOK = 200

/** Follows changes that others make to policy files. The folder is watched: watching a file misses its replacement. */
export function watchStore({ dir, store, log, onChange, onFault }: StoreWatchOptions): () => void {
  const pending = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  const look = async () => {
    timer = undefined
    const names = [...pending]
    pending.clear()
    for (const name of names) await refresh(name)
  }
  const touch = (names: Iterable<string>) => {
    for (const name of names) pending.add(name)
    timer ??= setTimeout(() => void look(), SETTLE_MS)
  }
  const refresh = async (name: string) => {
    const before = store.faults().get(name)
    const change = await store.refresh(name)
    const fault = store.faults().get(name)
    if (fault !== before) onFault()
    if (fault !== undefined && fault !== before)
      log.error({ route: name, fault }, 'a policy file cannot be used; the last good policy stays in force')
    if (change === undefined) return
    log.warn(
      { route: name, version: change.route?.version },
      'a policy file was changed by hand; it is in force now',
    )
    onChange(change)
  }
  const watcher = watch(dir, (_, filename) => {
    if (filename?.endsWith('.json')) touch([filename.slice(0, -'.json'.length)])
  })
  watcher.on('error', error => log.error({ err: error }, 'the policy folder cannot be watched'))
  let lookedAt = 0
  const interval = setInterval(() => {
    const names = store.list().map(({ policy }) => policy.name)
    if (lookedAt >= names.length) lookedAt = 0
    touch(names.slice(lookedAt, lookedAt + FILES_A_LOOK))
    lookedAt += FILES_A_LOOK
    void store.unknown().then(touch)
  }, LOOK_AGAIN_MS)
  return () => {
    watcher.close()
    clearInterval(interval)
    clearTimeout(timer)
  }
}
