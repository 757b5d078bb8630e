import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { startStack } from '../../cli/demo/stack.ts'
import { readPhotos, startSteadyLoad } from '../../cli/load/steady-load.ts'
import { createControllerClient } from '../../client/controller.ts'

/** A models folder of its own, with what Weir comes with. */
export async function copyModels(t: Test) {
  const models = await mkdtemp(join(tmpdir(), 'weir-models-'))
  t.teardown(() => rm(models, { recursive: true, force: true, maxRetries: 5 }))
  await cp('models/food11', join(models, 'food11'), { recursive: true })
  return {
    models,
    writePipeline: async (yaml: string) => writeFile(join(models, 'food11', 'pipeline.yaml'), yaml),
  }
}

interface UsedStackOptions {
  readonly models: string
  /** A state folder that the test has made ready. */
  readonly state?: string
  readonly requestsPerSecond: number
}

/** A whole Weir, and users who send photos all the time. */
export async function startUsedStack(t: Test, { requestsPerSecond, ...where }: UsedStackOptions) {
  const stack = await startStack(where)
  t.teardown(() => stack.stop())
  const controller = createControllerClient({ baseUrl: stack.controllerUrl, actor: 'e2e' })
  const photos = await readPhotos('models/food11/samples')
  const load = startSteadyLoad({ url: stack.publicUrl, photos, requestsPerSecond, users: 0 })
  return { stack, controller, load }
}
