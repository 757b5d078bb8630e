import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { errorAnswer, WeirError } from '../contract/errors.ts'
import type { Drill } from '../contract/rollout.ts'
import { UNVERSIONED } from './served-model.ts'
import type { ServingMetrics } from './serving-metrics.ts'

/** What is served, as far as these routes speak of it; a bare file has neither version nor digest. */
interface NamedVersion {
  readonly name: string
  readonly version: string | undefined
  readonly digest: string | undefined
}

/** Where a server is in its life, whatever it serves. */
export type Standing =
  | { readonly kind: 'loading'; readonly reason?: string }
  | { readonly kind: 'ready'; readonly model: NamedVersion }
  /** It stays up to say why. */
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'draining'; readonly model: NamedVersion | undefined }

export interface StandingServer {
  state(): Standing
  readonly metrics: ServingMetrics
}

/** /livez, /readyz, /version and /metrics, and on every answer which version gave it. */
export function addStandingRoutes(
  app: FastifyInstance,
  server: StandingServer,
  drill: Drill | undefined,
): void {
  app.addHook('onRequest', async (_request, reply) => {
    const state = server.state()
    if ((state.kind !== 'ready' && state.kind !== 'draining') || !state.model) return
    reply.header('x-weir-model-version', state.model.version ?? UNVERSIONED)
  })
  addHealthRoutes(app, server)
  addVersionRoute(app, server, drill)
}

const status = z.object({ status: z.string() })

function addHealthRoutes(app: FastifyInstance, server: StandingServer): void {
  app.get('/livez', { schema: { summary: 'Alive', response: { 200: status } } }, async () => ({
    status: 'live',
  }))
  app.get(
    '/readyz',
    { schema: { summary: 'Ready, or why not', response: { 200: status, '5xx': errorAnswer } } },
    async () => {
      requireReady(server.state())
      return { status: 'ready' }
    },
  )
  app.get('/metrics', { schema: { summary: 'Prometheus metrics' } }, async (_request, reply) =>
    reply.type(server.metrics.contentType).send(await server.metrics.text()),
  )
}

/** The state, when it is ready. Throws `not_ready`, `model_refused` or `draining`. */
export function requireReady<State extends Standing>(state: State): Extract<State, { kind: 'ready' }> {
  switch (state.kind) {
    case 'ready':
      return state as Extract<State, { kind: 'ready' }>
    case 'loading':
      throw new WeirError('not_ready', state.reason ?? 'the model is loading', { retryAfterSeconds: 1 })
    case 'refused':
      throw new WeirError('model_refused', state.reason)
    case 'draining':
      throw new WeirError('draining', 'this server is stopping', { retryAfterSeconds: 1 })
  }
}

const version = z.object({
  model: z.string(),
  model_version: z.string(),
  digest: z.string(),
  drill: z.unknown().optional(),
})

function addVersionRoute(app: FastifyInstance, server: StandingServer, drill: Drill | undefined): void {
  const schema = {
    summary: 'Which version this is',
    response: { 200: version, '4xx': errorAnswer, '5xx': errorAnswer },
  }
  app.get('/version', { schema }, async () => {
    const { model } = requireReady(server.state())
    if (model.version === undefined || model.digest === undefined) {
      throw new WeirError('version_not_found', 'a bare ONNX file has no version')
    }
    return {
      model: model.name,
      model_version: model.version,
      digest: model.digest,
      ...(drill === undefined ? {} : { drill }),
    }
  })
}
