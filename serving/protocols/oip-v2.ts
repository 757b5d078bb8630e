import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { datatypeOf } from '../../contract/datatype.ts'
import { WeirError } from '../../contract/errors.ts'
import type { TensorSpec } from '../../contract/model-manifest.ts'
import type { Predictor } from '../predictor.ts'
import { UNVERSIONED, type ServedModel } from '../served-model.ts'
import { answerProtocolErrors, bodyOf, sendAnswer } from './wire.ts'

const modelPath = z.object({ model: z.string(), version: z.string().optional() })
type ModelPath = z.infer<typeof modelPath>

const SERVER = {
  name: 'weir',
  version: '0.1.0',
  extensions: ['binary_tensor_data', 'classification'],
}

/** The Open Inference Protocol, version 2, over HTTP. Health routes answer by their status alone, as its clients expect. */
export function addOipV2Routes(app: FastifyInstance, predictor: Predictor): void {
  const routes = async (scope: FastifyInstance) => {
    answerProtocolErrors(scope)
    scope.get('/', { schema: { summary: 'Server metadata' } }, async () => SERVER)
    scope.get('/health/live', { schema: { summary: 'Alive' } }, async () => ({ live: true }))
    scope.get('/health/ready', { schema: { summary: 'Ready for requests' } }, async () => {
      predictor.model()
      return { ready: true }
    })
    for (const prefix of ['/models/:model', '/models/:model/versions/:version']) {
      addModelRoutes(scope, prefix, predictor)
    }
  }
  void app.register(routes, { prefix: '/v2' })
}

function addModelRoutes(scope: FastifyInstance, prefix: string, predictor: Predictor): void {
  scope.get<{ Params: ModelPath }>(prefix, schemaOf('Model metadata'), async request =>
    metadataOf(modelOf(request, predictor)),
  )
  scope.get<{ Params: ModelPath }>(`${prefix}/ready`, schemaOf('Model ready'), async request => {
    const { name } = modelOf(request, predictor)
    return { name, ready: true }
  })
  scope.post<{ Params: ModelPath }>(`${prefix}/infer`, schemaOf('Inference'), async (request, reply) =>
    infer(request, reply, predictor),
  )
}

async function infer(
  request: FastifyRequest<{ Params: ModelPath }>,
  reply: FastifyReply,
  predictor: Predictor,
) {
  modelOf(request, predictor)
  const task = { protocol: 'oip-v2', headerBytes: headerBytesOf(request), body: bodyOf(request) } as const
  return sendAnswer(reply, await predictor.answer(request, reply, task))
}

function schemaOf(summary: string) {
  return { schema: { summary, params: modelPath } }
}

/** The model that is served, when the path names it. */
function modelOf({ params }: FastifyRequest<{ Params: ModelPath }>, predictor: Predictor): ServedModel {
  const model = predictor.model()
  if (params.model !== model.name) throw new WeirError('model_not_found', `no model "${params.model}" here`)
  if (params.version !== undefined && params.version !== (model.version ?? UNVERSIONED)) {
    throw new WeirError('version_not_found', `no version "${params.version}" of "${params.model}" here`)
  }
  return model
}

function metadataOf({ name, version, inputs, outputs }: ServedModel) {
  const describe = (spec: TensorSpec) => ({
    name: spec.name,
    datatype: datatypeOf(spec.type),
    shape: spec.shape,
  })
  return {
    name,
    versions: [version ?? UNVERSIONED],
    platform: 'onnxruntime_onnx',
    inputs: inputs.map(describe),
    outputs: outputs.map(describe),
  }
}

/** How many bytes of the body are JSON when binary data follows. */
function headerBytesOf({ headers }: FastifyRequest): number | undefined {
  const header = headers['inference-header-content-length']
  if (header === undefined) return undefined
  const bytes = Number(header)
  if (Number.isInteger(bytes) && bytes >= 0) return bytes
  throw new WeirError('bad_request', 'Inference-Header-Content-Length must be a whole number of bytes')
}
