import type { EnvironmentName } from '../../contract/environment.ts'
import { ALIASES, type Alias } from '../../contract/registry.ts'
import type { Registry } from '../registry/registry.ts'
import type { Store } from '../store.ts'
import type { HistoryEntry } from './environment-state.ts'
import type { EnvironmentStore } from './environment-store.ts'
import { isRegistered, registeredAs } from './registered-as.ts'

interface FailuresOptions {
  readonly store: Store
  readonly environments: EnvironmentStore
  readonly registry: Pick<Registry, 'get' | 'markFailed' | 'aliases' | 'setAlias'>
  readonly model: string
}

/** Deployments further back were told of long ago. */
const RECENT = 100

/** Tells the registry which versions failed in an environment. It may be away: nothing else waits for it, and it is told later. */
export function createFailureTeller({ store, environments, registry, model }: FailuresOptions) {
  /** The version stays registered, with the reason, and no alias leads to it but of an environment that still runs it. */
  async function markFailed({ version, digest, failure, actor }: HistoryEntry): Promise<void> {
    const decision = { actor, reason: failure ?? 'it failed' }
    const as = await registeredAs(registry, model, version)
    // nobody can take again what was removed, or what the number has other content of by now
    if (as !== undefined && !isRegistered({ version, digest }, as)) return
    const { failed } = await registry.get(model, version) // two environments may return from it, with words of their own
    if (failed === null) await registry.markFailed(model, version, decision)
    const aliases = await registry.aliases(model)
    for (const alias of ALIASES) {
      const instead = aliases[alias] === version ? await aliasInstead(alias, version) : undefined
      if (instead !== undefined)
        await registry.setAlias(model, alias, instead, { ...decision, expected: version })
    }
  }

  /** People move aliases, too; undefined: its environment runs the version, or moves its alias itself. */
  async function aliasInstead(alias: Alias, version: string): Promise<string | null | undefined> {
    if (alias === 'development') return null
    const { current, work } = environments.get(alias).state
    if (work !== null || current?.version === version) return undefined
    if (current === null) return null
    return isRegistered(current, await registeredAs(registry, model, current.version))
      ? current.version
      : null
  }

  return async (name: EnvironmentName): Promise<void> => {
    for (const entry of environments.history(name, RECENT).filter(({ telling }) => telling === 'due')) {
      await markFailed(entry)
      store.transaction(() => {
        const now = environments.entry(name, entry.revision)
        if (now !== undefined) environments.saveEntry(name, { ...now, telling: 'done' })
      })
    }
  }
}
