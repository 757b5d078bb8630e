import { createAudit } from '../../controller/audit.ts'
import { createLocalRegistry } from '../../controller/registry/local.ts'
import { createModelFolder } from '../../controller/registry/model-folder.ts'
import type { Registry } from '../../controller/registry/registry.ts'
import type { Store } from '../../controller/store.ts'
import { systemClock } from '../../lib/clock.ts'

/** The embedded registry over a models folder. */
export function localRegistry(modelsDir: string, store: Store): Registry {
  const folder = createModelFolder(modelsDir)
  return createLocalRegistry({ folder, store, audit: createAudit(store), clock: systemClock })
}
