import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createAudit } from '../../controller/audit.ts'
import { createMlflowApi, type MlflowCredentials } from '../../controller/registry/mlflow-api.ts'
import { parseMlflowNames } from '../../controller/registry/mlflow-names.ts'
import { createMlflowRegistry } from '../../controller/registry/mlflow.ts'
import { createModelFolder } from '../../controller/registry/model-folder.ts'
import { openStore } from '../../controller/store.ts'
import { systemClock } from '../../lib/clock.ts'
import { findMlflow, startMlflow } from '../helpers/mlflow.ts'
import { refused, temporary, trained } from './registry-suite.ts'

t.setTimeout(1_800_000) // MLflow may have to be installed first

const ADA = { actor: 'ada' }
const SEEN = { actor: 'ada', reason: 'seen serving' }
const found = await findMlflow()

t.test(
  'a real MLflow server believes our credentials, and its refusals say what to set',
  { skip: 'skip' in found && found.skip },
  async t => {
    if ('skip' in found) return
    const admin = { username: 'ada', password: 'open-sesame-12' }
    const guest = { username: 'grace', password: 'let-me-look-12' }
    const { url } = await startMlflow(t, found.python, admin)
    const open = (credentials: MlflowCredentials | undefined) => {
      const dir = temporary(t)
      const store = openStore(join(dir, 'state'))
      t.teardown(() => store.close())
      return createMlflowRegistry({
        api: createMlflowApi({ baseUrl: url, credentials, timeoutMs: 60_000 }),
        names: parseMlflowNames(),
        cache: createModelFolder(join(dir, 'cache')),
        store,
        audit: createAudit(store),
        clock: systemClock,
      })
    }
    const source = await trained(t, 'a')
    const { version } = await open(admin).register('colours', source, ADA)
    await open(admin).setAlias('colours', 'staging', '1', SEEN)

    for (const stranger of [undefined, { ...admin, password: 'open-sesame-13' }]) {
      const told =
        stranger === undefined
          ? /401 without credentials: set MLFLOW/
          : /401 with the credentials given: set MLFLOW/
      await refused(t, open(stranger).models(), 'bad_gateway', told)
      await refused(t, open(stranger).register('colours', source, ADA), 'bad_gateway', told)
      await refused(t, open(stranger).fetch('colours', '1'), 'bad_gateway', told)
    }

    const headers = {
      'content-type': 'application/json',
      authorization: `Basic ${Buffer.from(`${admin.username}:${admin.password}`).toString('base64')}`,
    }
    const init = { method: 'POST', headers, body: JSON.stringify(guest) }
    t.equal((await fetch(`${url}/api/2.0/mlflow/users/create`, init)).status, 200)
    const reading = open(guest)
    t.same(await reading.get('colours', '1'), version)
    t.same(
      await readFile(join(await reading.fetch('colours', '1'), 'model.onnx')),
      await readFile(join(source, 'model.onnx')),
    )
    const writing = reading.setAlias('colours', 'staging', null, SEEN)
    await refused(t, writing, 'bad_gateway', /403 .*: set MLFLOW_TRACKING_.*, of somebody who may do this$/)
    const other = reading.register('colours', await trained(t, 'b'), ADA)
    await refused(t, other, 'bad_gateway', /403 .*: set MLFLOW_TRACKING_.*, of somebody who may do this$/)
  },
)
