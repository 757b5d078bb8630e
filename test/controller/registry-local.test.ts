import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createAudit } from '../../controller/audit.ts'
import { openStore } from '../../controller/store.ts'
import { localRegistry } from './local-registry.ts'
import { registrySuite, temporary } from './registry-suite.ts'

registrySuite(t, async t => open(t))

function open(t: Test) {
  const dir = temporary(t)
  const store = openStore(join(dir, 'state'))
  t.teardown(() => store.close())
  return { registry: localRegistry(join(dir, 'models'), store), audit: createAudit(store) }
}
