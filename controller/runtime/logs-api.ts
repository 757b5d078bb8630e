import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { query } from '../query.ts'
import type { Registry } from '../registry/registry.ts'
import type { Runtime } from './runtime.ts'

interface LogsApiOptions {
  readonly runtime: Pick<Runtime, 'logs'>
  readonly registry: Pick<Registry, 'get'>
}

const params = z.object({ model: z.string(), version: z.string() })
const asked = query({
  /** The cursor of an earlier answer: what was written since. */
  after: z.string().max(12_000).optional(),
  lines: z.coerce.number().int().min(1).max(10_000).optional(),
})

/** What the processes of a version wrote, so that it can be read after their end and followed while they run. */
export function addLogs(plain: FastifyInstance, { runtime, registry }: LogsApiOptions): void {
  const app = plain.withTypeProvider<ZodTypeProvider>()
  app.get('/v1/logs/:model/:version', { schema: { params, querystring: asked } }, async request => {
    const { model, version } = request.params
    const page = await runtime.logs(model, version, request.query)
    // is there nothing yet, or no such version?
    if (page.items.length === 0 && request.query.after === undefined) await registry.get(model, version)
    return page
  })
}
