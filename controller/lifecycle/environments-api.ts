import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import {
  ENVIRONMENTS,
  gatesBody,
  promoteBody,
  rollbackBody,
  type EnvironmentName,
  type EnvironmentView,
} from '../../contract/environment.ts'
import { WeirError } from '../../contract/errors.ts'
import { etag, versionOf } from '../../contract/etag.ts'
import type { createIdempotency } from '../idempotency.ts'
import { actorOf, keyed } from '../requests.ts'
import type { EnvironmentGates } from './environment-gates.ts'
import type { Environments } from './environments.ts'

interface EnvironmentsApiOptions {
  readonly environments: Environments
  /** Absent: there is no pipeline whose gates could be run. */
  readonly gates?: EnvironmentGates | undefined
  readonly once: ReturnType<typeof createIdempotency>
}

const byName = z.object({ env: z.string() })

/** What operators see of environments and ask of them. Requests may be repeated with an Idempotency-Key. */
export function addEnvironments(
  plain: FastifyInstance,
  { environments, gates, once }: EnvironmentsApiOptions,
): void {
  const app = plain.withTypeProvider<ZodTypeProvider>()
  app.get('/v1/environments', async () => ({ items: environments.list() }))
  app.get('/v1/environments/:env', { schema: { params: byName } }, async (request, reply) => {
    const view = environments.view(nameOf(request.params.env))
    return reply.header('etag', etag(view.version)).send(view)
  })
  app.post(
    '/v1/environments/:env/promote',
    { schema: { params: byName, body: promoteBody } },
    async (request, reply) => {
      const to = nameOf(request.params.env)
      const ifMatch = versionOf(request.headers['if-match'])
      const view = await once<EnvironmentView>(keyed(request), async () =>
        environments.preparePromote({ ...request.body, to, ifMatch, actor: actorOf(request) }),
      )
      return reply.code(202).header('etag', etag(view.version)).send(view)
    },
  )
  app.post(
    '/v1/environments/:env/rollback',
    { schema: { params: byName, body: rollbackBody } },
    async (request, reply) => {
      const name = nameOf(request.params.env)
      const ifMatch = versionOf(request.headers['if-match'])
      const reason = request.body?.reason
      const view = await once<EnvironmentView>(keyed(request), async () =>
        environments.prepareRollback(name, { reason, ifMatch, actor: actorOf(request) }),
      )
      return reply.code(202).header('etag', etag(view.version)).send(view)
    },
  )
  if (gates === undefined) return
  app.post(
    '/v1/environments/:env/gates',
    { schema: { params: byName, body: gatesBody } },
    async (request, reply) => {
      const name = nameOf(request.params.env)
      const ifMatch = versionOf(request.headers['if-match'])
      const asked = { ...request.body, ifMatch, actor: actorOf(request) }
      const view = await once<EnvironmentView>(keyed(request), async () => gates.prepare(name, asked))
      return reply.code(202).header('etag', etag(view.version)).send(view)
    },
  )
}

function nameOf(text: string): EnvironmentName {
  const name = ENVIRONMENTS.find(known => known === text)
  if (name !== undefined) return name
  throw new WeirError(
    'environment_not_found',
    `there is no environment "${text.slice(0, 100)}"; there are ${ENVIRONMENTS.join(', ')}`,
  )
}
