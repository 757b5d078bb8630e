import type { EnvironmentName } from '../../contract/environment.ts'
import type { Registry } from '../registry/registry.ts'
import type { Store } from '../store.ts'
import type { HistoryEntry } from './environment-state.ts'
import type { EnvironmentStore } from './environment-store.ts'

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
  async function markFailed({ version, failure, actor }: HistoryEntry): Promise<void> {
    const decision = { actor, reason: failure ?? 'it failed' }
    const { failed } = await registry.get(model, version) // two environments may return from it, with words of their own
    if (failed === null) await registry.markFailed(model, version, decision)
    const { development } = await registry.aliases(model)
    if (development === version) await registry.setAlias(model, 'development', null, decision)
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
