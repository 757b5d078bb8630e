import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { errorAnswer, WeirError } from '../contract/errors.ts'
import type { Drill } from '../contract/rollout.ts'
import type { Clock } from '../lib/clock.ts'
import { createHttpServer } from '../lib/http-server.ts'
import type { Log } from '../lib/log.ts'
import { createDrill } from './drill.ts'
import type { ModelServer, ServingState } from './model-server.ts'
import { addDocs } from './openapi.ts'
import { createPredictor } from './predictor.ts'
import { addOipV2Routes } from './protocols/oip-v2.ts'
import { addPredictRoutes } from './protocols/predict.ts'
import { addTfsV1Routes } from './protocols/tfs-v1.ts'
import { findSamples } from './samples.ts'
import { UNVERSIONED } from './served-model.ts'

export interface AppOptions {
  readonly server: ModelServer
  readonly modelPath: string
  readonly samplesDir?: string | undefined
  readonly drill?: Drill | undefined
  readonly clock: Clock
  readonly log: Log
  readonly bodyLimitBytes?: number
}

const BODY_LIMIT_BYTES = 32 * 1024 * 1024

/** Every route of a model server. It listens before the model is loaded, so that /readyz can say how far it is. */
export async function createApp(options: AppOptions): Promise<FastifyInstance> {
  const { server, modelPath, samplesDir, drill, clock, log, bodyLimitBytes = BODY_LIMIT_BYTES } = options
  const app = createHttpServer({ log, bodyLimitBytes })
  takeBodiesAsTheyCome(app)
  app.addHook('onRequest', async (_request, reply) => {
    const version = versionOf(server.state())
    if (version !== undefined) reply.header('x-weir-model-version', version)
  })
  await addDocs(app)
  const predictor = createPredictor({ server, clock, drill: drill && createDrill(drill, clock) })
  addHealthRoutes(app, server)
  addVersionRoute(app, server, drill)
  addPredictRoutes(app, { predictor, samples: () => findSamples(modelPath, samplesDir) })
  addOipV2Routes(app, predictor)
  addTfsV1Routes(app, predictor)
  return app
}

/** No body is parsed on this thread; see Task. */
function takeBodiesAsTheyCome(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
}

function versionOf(state: ServingState): string | undefined {
  if (state.kind !== 'ready' && state.kind !== 'draining') return undefined
  return state.model && (state.model.version ?? UNVERSIONED)
}

const status = z.object({ status: z.string() })

function addHealthRoutes(app: FastifyInstance, server: ModelServer): void {
  app.get('/livez', { schema: { summary: 'Alive', response: { 200: status } } }, async () => ({
    status: 'live',
  }))
  app.get(
    '/readyz',
    { schema: { summary: 'Ready, or why not', response: { 200: status, '5xx': errorAnswer } } },
    async () => {
      throwUnlessReady(server.state())
      return { status: 'ready' }
    },
  )
  app.get('/metrics', { schema: { summary: 'Prometheus metrics' } }, async (_request, reply) =>
    reply.type(server.metrics.contentType).send(await server.metrics.text()),
  )
}

function throwUnlessReady(state: ServingState): void {
  if (state.kind === 'loading') throw new WeirError('not_ready', 'the model is loading')
  if (state.kind === 'refused') throw new WeirError('model_refused', state.reason)
  if (state.kind === 'draining') throw new WeirError('draining', 'this server is stopping')
}

const version = z.object({
  model: z.string(),
  model_version: z.string(),
  digest: z.string(),
  drill: z.unknown().optional(),
})

function addVersionRoute(app: FastifyInstance, server: ModelServer, drill: Drill | undefined): void {
  const schema = {
    summary: 'Which version this is',
    response: { 200: version, '4xx': errorAnswer, '5xx': errorAnswer },
  }
  app.get('/version', { schema }, async () => {
    const state = server.state()
    if (state.kind !== 'ready') throwUnlessReady(state)
    const model = state.kind === 'ready' ? state.model : undefined
    if (model?.version === undefined || model.digest === undefined) {
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
