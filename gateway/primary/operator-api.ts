import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { jsonSchemaTransform, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { errorAnswer, WeirError } from '../../contract/errors.ts'
import { etag, versionOf } from '../../contract/etag.ts'
import { createHttpServer } from '../../lib/http-server.ts'
import type { Log } from '../../lib/log.ts'
import { mergePatch } from '../../lib/merge-patch.ts'
import type { Readiness } from '../messages.ts'
import type { Comparisons } from './comparisons.ts'
import type { Endpoints } from './endpoints.ts'
import type { Change, PolicyStore, StoredRoute } from './policy-store.ts'
import type { WorkerView } from './worker-pool.ts'

export interface OperatorApiOptions {
  readonly log: Log
  readonly store: PolicyStore
  /** Puts a committed change in force; resolves with the workers that lag. */
  readonly publish: (change: Change) => Promise<string[]>
  readonly comparisons: Comparisons
  readonly endpoints: Endpoints
  readonly instance: string
  readonly readiness: () => Readiness
  readonly workers: () => readonly WorkerView[]
  readonly workerVersion: (worker: WorkerView, route: string) => number | undefined
  readonly assigned: (route: string, variant: string) => number
  /** Has the workers push what they counted. */
  readonly flush: () => Promise<void>
  readonly exposition: (route: string | undefined) => string
}

const MAX_POLICY_BYTES = 1024 * 1024

const byName = z.object({ name: z.string() })
const conditional = z.object({ 'if-match': z.string().optional() }).loose()
const anyObject = z.record(z.string(), z.unknown())

/** The API with which operators and the controller steer the gateway. It belongs on loopback: whoever reaches it may do all. */
export async function createOperatorApi(options: OperatorApiOptions): Promise<FastifyInstance> {
  const app = createHttpServer({ log: options.log, bodyLimitBytes: MAX_POLICY_BYTES })
  app.removeContentTypeParser('text/plain')
  app.addContentTypeParser(
    'application/merge-patch+json',
    { parseAs: 'string' },
    app.getDefaultJsonParser('error', 'ignore'),
  )
  await app.register(swagger, {
    openapi: { info: { title: 'Weir gateway: operator API', version: '1' } },
    transform: jsonSchemaTransform,
  })
  await app.register(swaggerUi, { routePrefix: '/docs' })
  addHealth(app, options)
  addReading(app, options)
  addWriting(app, options)
  return app
}

function addHealth(
  app: FastifyInstance,
  { readiness, store, instance, flush, exposition }: OperatorApiOptions,
): void {
  const typed = app.withTypeProvider<ZodTypeProvider>()
  typed.get('/livez', async () => ({ status: 'ok' }))
  typed.get('/readyz', async () => {
    const { ready, reasons } = readiness()
    const faults = Object.fromEntries(store.faults())
    if (!ready) {
      const code = reasons.includes('draining') ? 'draining' : 'not_ready'
      throw new WeirError(code, reasons.join('; '), {
        retryAfterSeconds: 1,
        details: { reasons, policy_faults: faults },
      })
    }
    return { status: 'ready', policy_faults: faults }
  })
  typed.get(
    '/metrics',
    { schema: { querystring: z.strictObject({ route: z.string().optional() }) } },
    async (request, reply) => {
      await flush()
      return reply
        .type('text/plain; version=0.0.4; charset=utf-8')
        .header('x-weir-instance', instance)
        .send(exposition(request.query.route))
    },
  )
}

function addReading(app: FastifyInstance, options: OperatorApiOptions): void {
  const { store, comparisons, flush } = options
  const typed = app.withTypeProvider<ZodTypeProvider>()
  typed.get('/v1/routes', async () => ({
    items: store.list().map(({ policy, version }) => ({ policy, version })),
  }))
  typed.get(
    '/v1/routes/:name',
    { schema: { params: byName, response: { 200: z.unknown(), '4xx': errorAnswer } } },
    async (request, reply) => {
      const route = requireRoute(store, request.params.name)
      return tagged(reply, route).send(route.policy)
    },
  )
  typed.get('/v1/routes/:name/status', { schema: { params: byName } }, async request => {
    const route = requireRoute(store, request.params.name)
    await flush()
    return statusOf(route, options)
  })
  typed.get('/v1/routes/:name/comparisons', { schema: { params: byName } }, async request => {
    requireRoute(store, request.params.name)
    return { items: comparisons.list(request.params.name) }
  })
}

function addWriting(app: FastifyInstance, { store, publish }: OperatorApiOptions): void {
  const typed = app.withTypeProvider<ZodTypeProvider>()
  const schema = {
    params: byName,
    headers: conditional,
    body: anyObject,
    response: { 200: z.unknown(), 201: z.unknown(), 202: z.unknown(), '4xx': errorAnswer },
  }

  async function commit(
    document: unknown,
    ifVersion: number | undefined,
    reply: FastifyReply,
    created: boolean,
  ) {
    const { route, changed } = await store.put(document, { ifVersion })
    const pending = changed ? await publish({ name: route.policy.name, route }) : []
    const status = pending.length > 0 ? 202 : created ? 201 : 200
    return tagged(reply, route).code(status).send({ policy: route.policy, version: route.version, pending })
  }

  typed.put(
    '/v1/routes/:name',
    { schema: { ...schema, summary: 'Create a route or replace its policy' } },
    async (request, reply) => {
      const { name } = request.params
      const ifVersion = versionOf(request.headers['if-match'])
      if (request.body['name'] !== undefined && request.body['name'] !== name)
        throw new WeirError('invalid_setting', `name: the body is about another route than ${name}`)
      return commit({ ...request.body, name }, ifVersion, reply, store.get(name) === undefined)
    },
  )
  typed.patch(
    '/v1/routes/:name',
    { schema: { ...schema, summary: 'Change a policy by a JSON merge patch' } },
    async (request, reply) => {
      const ifVersion = versionOf(request.headers['if-match'])
      for (;;) {
        const before = requireRoute(store, request.params.name)
        const document = mergePatch(before.written, request.body)
        if ((document as { name?: unknown }).name !== before.policy.name)
          throw new WeirError('invalid_setting', 'name: a route cannot be renamed')
        try {
          // Without If-Match the patch goes onto whatever is there, and that must not change between reading and writing.
          return await commit(document, ifVersion ?? before.version, reply, false)
        } catch (error) {
          const overtaken =
            error instanceof WeirError && error.code === 'precondition_failed' && ifVersion === undefined
          if (!overtaken) throw error
        }
      }
    },
  )
  typed.delete(
    '/v1/routes/:name',
    { schema: { params: byName, headers: conditional } },
    async (request, reply) => {
      const { name } = request.params
      await store.remove(name, { ifVersion: versionOf(request.headers['if-match']) })
      const pending = await publish({ name, route: undefined })
      return reply.code(pending.length > 0 ? 202 : 200).send({ pending })
    },
  )
}

function requireRoute(store: PolicyStore, name: string): StoredRoute {
  const route = store.get(name)
  if (route === undefined) throw new WeirError('route_not_found', `there is no route ${name.slice(0, 100)}`)
  return route
}

function tagged(reply: FastifyReply, { version }: StoredRoute): FastifyReply {
  return reply.header('etag', etag(version))
}

function statusOf({ policy, version, epoch }: StoredRoute, options: OperatorApiOptions) {
  const { workers, workerVersion, endpoints, assigned } = options
  return {
    route: policy.name,
    version,
    epoch,
    workers: workers().map(worker => ({
      worker: worker.name,
      version: workerVersion(worker, policy.name) ?? null,
    })),
    endpoints: endpoints.list(policy.name).map(({ endpoint, variant, state, failedTrials, reason }) => ({
      endpoint,
      variant,
      state,
      failedTrials,
      reason,
    })),
    assigned: Object.fromEntries(
      Object.keys(policy.variants).map(variant => [variant, assigned(policy.name, variant)]),
    ),
  }
}
