import { WeirError } from '../../contract/errors.ts'
import { softmax, topClasses } from '../class-scores.ts'
import { imageOfRequest } from '../image-request.ts'
import { jsonAnswer, type ModelRequest } from '../model-request.ts'
import type { ServedModel } from '../served-model.ts'
import type { NamedTensor } from '../tensor.ts'

const TOP_K = 5

/** POST /predict: one photo in, its label out. */
export async function readPredictRequest(
  contentType: string,
  body: Uint8Array,
  model: ServedModel,
): Promise<ModelRequest> {
  if (model.preprocessing.kind !== 'image') {
    throw new WeirError(
      'bad_request',
      `${model.name} takes tensors; send them to /v2/models/${model.name}/infer`,
    )
  }
  const image = await imageOfRequest(contentType, body)
  return {
    instances: { kind: 'images', images: [image] },
    answer: ([output]) => jsonAnswer(prediction(model, output)),
  }
}

function prediction(model: ServedModel, output: NamedTensor | undefined) {
  const ranked = topClasses(softmax((output?.data ?? []) as ArrayLike<number>), TOP_K)
  const named = ranked.map(({ index, score }) => ({
    label: model.labels[index] ?? String(index),
    confidence: score,
  }))
  const [best] = named
  if (best === undefined || Number.isNaN(best.confidence)) {
    throw new WeirError('internal', 'the model answered something that is not a number')
  }
  return {
    ...best,
    class_index: ranked[0]?.index,
    top_k: named,
    model: model.name,
    model_version: model.version,
  }
}
