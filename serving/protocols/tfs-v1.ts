import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { WeirError } from '../../contract/errors.ts'
import type { TensorSpec, TensorType } from '../../contract/model-manifest.ts'
import type { Predictor } from '../predictor.ts'
import { UNVERSIONED, type ServedModel } from '../served-model.ts'
import { SIGNATURE } from './tfs-v1-codec.ts'
import { answerProtocolErrors, bodyOf, sendAnswer } from './wire.ts'

const modelPath = z.object({ model: z.string(), version: z.string().optional() })
type ModelPath = z.infer<typeof modelPath>
const callPath = z.object({ model: z.string().optional(), call: z.string() })
type CallPath = z.infer<typeof callPath>

/** TensorFlow Serving's REST API, version 1. */
export function addTfsV1Routes(app: FastifyInstance, predictor: Predictor): void {
  const routes = async (scope: FastifyInstance) => {
    answerProtocolErrors(scope)
    for (const prefix of ['/models/:model', '/models/:model/versions/:version']) {
      addModelRoutes(scope, prefix, predictor)
    }
    addCallRoutes(scope, predictor)
  }
  void app.register(routes, { prefix: '/v1' })
}

function addModelRoutes(scope: FastifyInstance, prefix: string, predictor: Predictor): void {
  scope.get<{ Params: ModelPath }>(prefix, schemaOf('Model status'), async request =>
    statusOf(modelOf(request.params, predictor)),
  )
  scope.get<{ Params: ModelPath }>(`${prefix}/metadata`, schemaOf('Model metadata'), async request =>
    metadataOf(modelOf(request.params, predictor)),
  )
}

/** "food11:predict" is one segment of the path, and the router cannot take it apart. */
function addCallRoutes(scope: FastifyInstance, predictor: Predictor): void {
  const call = async (request: FastifyRequest<{ Params: CallPath }>, reply: FastifyReply) => {
    const { model, call } = request.params
    const [named, verb] = call.split(':')
    if (verb !== 'predict') throw new WeirError('not_found', 'only MODEL:predict can be called')
    modelOf(model === undefined ? { model: named ?? '' } : { model, version: named }, predictor)
    const task = { protocol: 'tfs-v1', body: bodyOf(request) } as const
    return sendAnswer(reply, await predictor.answer(request, reply, task))
  }
  for (const path of ['/models/:call', '/models/:model/versions/:call']) {
    scope.post<{ Params: CallPath }>(
      path,
      { schema: { summary: 'Prediction (MODEL:predict)', params: callPath } },
      call,
    )
  }
}

function schemaOf(summary: string) {
  return { schema: { summary, params: modelPath } }
}

function modelOf(params: ModelPath, predictor: Predictor): ServedModel {
  const model = predictor.model()
  if (params.model !== model.name) throw new WeirError('model_not_found', `no model "${params.model}" here`)
  if (params.version !== undefined && params.version !== (model.version ?? UNVERSIONED)) {
    throw new WeirError('version_not_found', `no version "${params.version}" of "${params.model}" here`)
  }
  return model
}

function statusOf({ version }: ServedModel) {
  const status = { error_code: 'OK', error_message: '' }
  return { model_version_status: [{ version: version ?? UNVERSIONED, state: 'AVAILABLE', status }] }
}

/** As TensorFlow Serving writes its protobuf messages in JSON, the doubled member and sizes in quotation marks included. */
function metadataOf({ name, version, inputs, outputs }: ServedModel) {
  const signature = {
    inputs: tensorInfos(inputs),
    outputs: tensorInfos(outputs),
    method_name: 'tensorflow/serving/predict',
  }
  return {
    model_spec: { name, signature_name: '', version: version ?? UNVERSIONED },
    metadata: { signature_def: { signature_def: { [SIGNATURE]: signature } } },
  }
}

function tensorInfos(specs: readonly TensorSpec[]) {
  return Object.fromEntries(
    specs.map(({ name, type, shape }) => {
      const dim = shape.map(size => ({ size: String(size), name: '' }))
      return [name, { dtype: dtypeOf(type), tensor_shape: { dim, unknown_rank: false }, name }]
    }),
  )
}

/** https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/types.proto */
function dtypeOf(type: TensorType): string {
  if (type === 'float32') return 'DT_FLOAT'
  return type === 'float64' ? 'DT_DOUBLE' : `DT_${type.toUpperCase()}`
}
