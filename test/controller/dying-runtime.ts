import { StatementSync, type SQLInputValue } from 'node:sqlite'
import { createProcessRuntime } from '../../controller/runtime/processes.ts'
import { openStore } from '../../controller/store.ts'
import { systemClock } from '../../lib/clock.ts'
import { createLog } from '../../lib/log.ts'
import { localRegistry } from './local-registry.ts'

// A controller's runtime as a process of its own that starts a model server and is killed where it writes down its pid, before
// or after: node dying-runtime.ts STATE MODELS FIRST_PORT OWNER_PID before|after

const [stateDir = '', modelsDir = '', firstPort = '', ownerPid = '', moment = ''] = process.argv.slice(2)

const run = StatementSync.prototype.run as (...values: SQLInputValue[]) => unknown
Object.assign(StatementSync.prototype, {
  run(this: StatementSync, ...values: SQLInputValue[]) {
    const isIt = this.sourceSQL.startsWith('UPDATE processes SET pid')
    if (isIt && moment === 'before') process.kill(process.pid, 'SIGKILL')
    const result = run.apply(this, values)
    if (isIt && moment === 'after') process.kill(process.pid, 'SIGKILL')
    return result
  },
})

const store = openStore(stateDir)
const registry = localRegistry(modelsDir, store)
const runtime = createProcessRuntime({
  store,
  registry,
  stateDir,
  host: '127.0.0.1',
  firstPort: Number(firstPort),
  clock: systemClock,
  log: createLog('test', 'silent'),
  ownerPid: Number(ownerPid),
})
await runtime.deploy({ id: 'a', version: await registry.get('food11', '1') })
