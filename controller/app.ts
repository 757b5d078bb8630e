import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { jsonSchemaTransform, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { etag, versionOf } from '../contract/etag.ts'
import type { Clock } from '../lib/clock.ts'
import { createHttpServer } from '../lib/http-server.ts'
import type { Log } from '../lib/log.ts'
import { alertView, type Alerts } from './alerts/alerts.ts'
import type { Audit } from './audit.ts'
import { addEvents } from './events.ts'
import type { ControllerMetrics } from './metrics.ts'
import { createIdempotency } from './idempotency.ts'
import type { EnvironmentGates } from './lifecycle/environment-gates.ts'
import { addEnvironments } from './lifecycle/environments-api.ts'
import type { Environments } from './lifecycle/environments.ts'
import { addPipelines } from './lifecycle/pipelines-api.ts'
import type { Pipelines } from './lifecycle/pipelines.ts'
import { query } from './query.ts'
import { addModels } from './registry/registry-api.ts'
import type { Registry } from './registry/registry.ts'
import type { Uploads } from './registry/uploads.ts'
import { actorOf, keyed } from './requests.ts'
import { explainRollout } from './rollouts/explain.ts'
import type { RolloutService, VerbRequest } from './rollouts/rollout-service.ts'
import { replacedOf } from './rollouts/replicas.ts'
import { rolloutView } from './rollouts/rollout-view.ts'
import { VERBS } from './rollouts/verbs.ts'
import { isFirst } from './rollouts/rollout-state.ts'
import { addLogs } from './runtime/logs-api.ts'
import type { Runtime } from './runtime/runtime.ts'
import type { Store } from './store.ts'

export interface ControllerAppOptions {
  readonly service: RolloutService
  readonly registry: Registry
  /** Versions on their way in. */
  readonly uploads: Uploads
  readonly runtime: Runtime
  readonly audit: Audit
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly metrics: ControllerMetrics
  readonly alerts: Alerts
  /** Absent: this controller keeps none. */
  readonly environments?: Environments | undefined
  readonly environmentGates?: EnvironmentGates | undefined
  readonly pipelines?: Pipelines | undefined
}

const BODY_LIMIT_BYTES = 1024 * 1024
/** For the version of a model, which may have 2 GiB; one that stands still is given up much sooner. */
const REQUEST_TIMEOUT_MS = 15 * 60_000
const named = z.object({ name: z.string().max(63) })
const reasonBody = z.strictObject({ reason: z.string().max(1000).optional() }).nullish()

/** The controller's API, without listening. */
export async function createControllerApp(options: ControllerAppOptions): Promise<FastifyInstance> {
  const app = createHttpServer({
    log: options.log,
    bodyLimitBytes: BODY_LIMIT_BYTES,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
  })
  refuseUnknownQueries(app)
  await app.register(swagger, {
    openapi: { info: { title: 'Weir controller', version: '1' } },
    transform: jsonSchemaTransform,
  })
  await app.register(swaggerUi, { routePrefix: '/docs' })
  const once = createIdempotency(options.store, options.clock)
  addRollouts(app, options, once)
  const { environments, environmentGates: gates } = options
  if (environments !== undefined) addEnvironments(app, { environments, gates, once })
  if (options.pipelines !== undefined) addPipelines(app, { pipelines: options.pipelines, once })
  addModels(app, options)
  addLogs(app, options)
  addAudit(app, options)
  addEvents(app, options)
  app.get('/v1/alerts', async () => ({ items: options.alerts.list().map(alertView) }))
  app.get('/metrics', async (_, reply) =>
    reply.type(options.metrics.contentType).send(await options.metrics.render()),
  )
  app.get('/livez', async () => ({ status: 'ok' }))
  app.get('/readyz', async () => ({ status: 'ok' }))
  return app
}

/** Also where a route has no parameter at all. */
function refuseUnknownQueries(app: FastifyInstance): void {
  app.addHook('onRoute', route => {
    if (route.url.startsWith('/v1/')) route.schema = { querystring: query({}), ...route.schema }
  })
}

const auditQuery = query({
  subject: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(1000).optional(),
})

/** `head`: SEQ:HASH, as an earlier verification gave it. */
const verifyQuery = query({
  head: z
    .string()
    .regex(/^\d{1,15}:[0-9a-f]{64}$/, 'must be SEQ:HASH, as an earlier verification gave it')
    .transform(text => ({ seq: Number.parseInt(text, 10), hash: text.slice(-64) }))
    .optional(),
})

function addAudit(plain: FastifyInstance, { audit }: ControllerAppOptions): void {
  const app = plain.withTypeProvider<ZodTypeProvider>()
  app.get('/v1/audit', { schema: { querystring: auditQuery } }, async request => ({
    items: audit.list(request.query),
  }))
  app.get('/v1/audit/verify', { schema: { querystring: verifyQuery } }, async request =>
    audit.verify(request.query.head),
  )
}

function addRollouts(
  plain: FastifyInstance,
  { service, clock }: ControllerAppOptions,
  once: ReturnType<typeof createIdempotency>,
): void {
  const app = plain.withTypeProvider<ZodTypeProvider>()
  app.get('/v1/rollouts', async () => ({ items: service.list().map(rolloutView) }))
  app.post('/v1/rollouts', { schema: { body: z.looseObject({}) } }, async (request, reply) => {
    const view = await once(keyed(request), async () => {
      const start = await service.prepareStart(request.body, { actor: actorOf(request) })
      return () => rolloutView(start())
    })
    return reply
      .code(201)
      .header('etag', etag(view.version))
      .header('location', `/v1/rollouts/${view.name}`)
      .send(view)
  })
  app.get('/v1/rollouts/:name', { schema: { params: named } }, async (request, reply) => {
    const view = rolloutView(service.get(request.params.name))
    return reply.header('etag', etag(view.version)).send(view)
  })
  app.get('/v1/rollouts/:name/explain', { schema: { params: named } }, async request => {
    const rollout = service.get(request.params.name)
    return { name: rollout.name, sentences: explainRollout(rollout, clock.now()) }
  })
  app.get('/v1/rollouts/:name/evidence', { schema: { params: named } }, async request => {
    const { file, source, name, state } = service.get(request.params.name)
    const { analysis, onDeadline } = file.spec
    return {
      rollout: { ...source, metadata: { name } },
      history: {
        ...(isFirst(state) && { comparator: null }),
        settleSeconds: state.settleSeconds,
        intervalSeconds: analysis.interval / 1000,
        deadlineSeconds: onDeadline.after / 1000,
        processes: replacedOf(state),
        looks: service.looks(name),
      },
    }
  })
  for (const verb of VERBS) {
    app.post(
      `/v1/rollouts/:name/${verb}`,
      { schema: { params: named, body: reasonBody } },
      async (request, reply) => {
        const { name } = request.params
        const view = await once(
          keyed(request),
          async () => () => rolloutView(service.act(name, verb, asked(request))),
        )
        return reply.header('etag', etag(view.version)).send(view)
      },
    )
  }
  app.post(
    '/v1/rollouts/:name/retry',
    { schema: { params: named, body: reasonBody } },
    async (request, reply) => {
      const view = await once(keyed(request), async () => {
        const start = await service.prepareRetry(request.params.name, asked(request))
        return () => rolloutView(start())
      })
      return reply.code(201).header('etag', etag(view.version)).send(view)
    },
  )
}

function asked(request: FastifyRequest<{ Body: z.infer<typeof reasonBody> }>): VerbRequest {
  return {
    actor: actorOf(request),
    reason: request.body?.reason,
    ifMatch: versionOf(request.headers['if-match']),
  }
}
