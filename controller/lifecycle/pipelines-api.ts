import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { etag, versionOf } from '../../contract/etag.ts'
import { approveBody, cancelBody, startBody, type PipelineView } from '../../contract/pipeline.ts'
import type { createIdempotency } from '../idempotency.ts'
import { actorOf, keyed } from '../requests.ts'
import type { Pipelines } from './pipelines.ts'

interface PipelinesApiOptions {
  readonly pipelines: Pipelines
  readonly once: ReturnType<typeof createIdempotency>
}

const byId = z.object({ id: z.string() })

/** Runs of the pipeline. Requests may be repeated with an Idempotency-Key. */
export function addPipelines(plain: FastifyInstance, { pipelines, once }: PipelinesApiOptions): void {
  const app = plain.withTypeProvider<ZodTypeProvider>()
  app.get('/v1/pipelines', async () => ({ items: pipelines.list() }))
  app.post('/v1/pipelines', { schema: { body: startBody } }, async (request, reply) => {
    const view = await once<PipelineView>(keyed(request), async () =>
      pipelines.prepareStart(request.body, { actor: actorOf(request) }),
    )
    return reply
      .code(201)
      .header('etag', etag(view.version))
      .header('location', `/v1/pipelines/${view.id}`)
      .send(view)
  })
  app.get('/v1/pipelines/:id', { schema: { params: byId } }, async (request, reply) => {
    const view = pipelines.view(request.params.id)
    return reply.header('etag', etag(view.version)).send(view)
  })
  for (const [verb, approved] of [
    ['approve', true],
    ['reject', false],
  ] as const) {
    app.post(
      `/v1/pipelines/:id/${verb}`,
      { schema: { params: byId, body: approveBody } },
      async (request, reply) => {
        const ifMatch = versionOf(request.headers['if-match'])
        const asked = { ...request.body, actor: actorOf(request), ifMatch, approved }
        const view = await once<PipelineView>(
          keyed(request),
          async () => () => pipelines.judge(request.params.id, asked),
        )
        return reply.header('etag', etag(view.version)).send(view)
      },
    )
  }
  app.post(
    '/v1/pipelines/:id/cancel',
    { schema: { params: byId, body: cancelBody } },
    async (request, reply) => {
      const ifMatch = versionOf(request.headers['if-match'])
      const asked = { ...request.body, actor: actorOf(request), ifMatch }
      const view = await once<PipelineView>(
        keyed(request),
        async () => () => pipelines.cancel(request.params.id, asked),
      )
      return reply.header('etag', etag(view.version)).send(view)
    },
  )
}
