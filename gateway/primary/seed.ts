import type { RoutePolicy } from '../../contract/policy.ts'
import { canonicalJson } from '../../lib/hash.ts'
import type { Log } from '../../lib/log.ts'
import type { ReadConfig } from '../config.ts'
import type { PolicyStore } from './policy-store.ts'

/** Fills an empty store from the configuration. Afterwards the store counts, and a difference is only told. */
export async function seedStore(
  store: PolicyStore,
  { config, written }: ReadConfig,
  log: Log,
): Promise<void> {
  if (store.list().length === 0) {
    for (const route of written) await store.put(route)
    return
  }
  for (const policy of config.routes) tellDifference(policy, store.get(policy.name)?.policy, log)
}

function tellDifference(configured: RoutePolicy, stored: RoutePolicy | undefined, log: Log): void {
  const route = configured.name
  if (stored === undefined)
    return log.warn(
      { route },
      'the configuration names a route that the store does not have; the store counts',
    )
  if (canonicalJson(configured) === canonicalJson(stored)) return
  const settings = Object.keys(configured).filter(
    key =>
      canonicalJson(configured[key as keyof RoutePolicy]) !== canonicalJson(stored[key as keyof RoutePolicy]),
  )
  log.warn({ route, settings }, 'the configuration differs from the policy in the store; the store counts')
}
