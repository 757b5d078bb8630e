import type { FastifyInstance } from 'fastify'
import type { Drill } from '../contract/rollout.ts'
import type { Clock } from '../lib/clock.ts'
import { createHttpServer } from '../lib/http-server.ts'
import type { Log } from '../lib/log.ts'
import { BODY_LIMIT_BYTES, takeBodiesAsTheyCome } from './bodies.ts'
import { createDrill } from './drill.ts'
import type { ModelServer } from './model-server.ts'
import { addDocs } from './openapi.ts'
import { addPredictionPage } from './prediction-page.ts'
import { createPredictor } from './predictor.ts'
import { addOipV2Routes } from './protocols/oip-v2.ts'
import { addPredictRoutes } from './protocols/predict.ts'
import { addTfsV1Routes } from './protocols/tfs-v1.ts'
import { findSamples } from './samples.ts'
import { addStandingRoutes } from './standing-routes.ts'

export interface AppOptions {
  readonly server: ModelServer
  readonly modelPath: string
  readonly samplesDir?: string | undefined
  readonly drill?: Drill | undefined
  readonly clock: Clock
  readonly log: Log
  readonly bodyLimitBytes?: number
}

/** Every route of a model server. It listens before the model is loaded, so that /readyz can say how far it is. */
export async function createApp(options: AppOptions): Promise<FastifyInstance> {
  const { server, modelPath, samplesDir, drill, clock, log, bodyLimitBytes = BODY_LIMIT_BYTES } = options
  const app = createHttpServer({ log, bodyLimitBytes })
  takeBodiesAsTheyCome(app, { limitBytes: bodyLimitBytes, metrics: server.metrics })
  await addDocs(app)
  const predictor = createPredictor({ server, clock, drill: drill && createDrill(drill, clock) })
  addStandingRoutes(app, server, drill)
  await addPredictionPage(app)
  addPredictRoutes(app, { predictor, samples: () => findSamples(modelPath, samplesDir) })
  addOipV2Routes(app, predictor)
  addTfsV1Routes(app, predictor)
  return app
}
