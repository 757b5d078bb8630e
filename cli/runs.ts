import type { ControllerClient } from '../client/controller.ts'
import { WeirError } from '../contract/errors.ts'
import type { PipelineView } from '../contract/pipeline.ts'

/** Every run; undefined where the controller keeps no environments, so that a registration starts none. */
export async function runsOf(client: ControllerClient): Promise<PipelineView[] | undefined> {
  return client.pipelines().catch((error: unknown) => {
    if (error instanceof WeirError && error.statusCode === 404) return undefined
    throw error
  })
}
