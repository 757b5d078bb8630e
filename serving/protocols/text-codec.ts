import { z } from 'zod'
import { WeirError } from '../../contract/errors.ts'
import type { TextPreprocessing } from '../../contract/model-manifest.ts'
import { describeIssues } from '../../lib/parse.ts'
import { softmax, topClasses } from '../class-scores.ts'
import { parseJsonBody } from '../json-body.ts'
import { jsonAnswer, type ModelRequest } from '../model-request.ts'
import type { ServedModel } from '../served-model.ts'
import { dataOfValues, type NamedTensor } from '../tensor.ts'
import type { Tokenize } from '../tokenizer.ts'

const MAX_TEXT_LENGTH = 100_000

const texts = z.tuple([z.string().min(1).max(MAX_TEXT_LENGTH)], 'must be an array with one text')

export interface TextModel {
  readonly model: ServedModel
  readonly preprocessing: TextPreprocessing
  readonly tokenize: Tokenize
}

/** POST /predict of a text model: `["text"]` in, `{"positive": true, …}` out. */
export function readTextRequest(
  body: Uint8Array,
  { model, preprocessing, tokenize }: TextModel,
): ModelRequest {
  const parsed = texts.safeParse(parseJsonBody(body))
  if (!parsed.success) throw new WeirError('bad_request', describeIssues(parsed.error))
  const ids = tokenize(parsed.data[0])
  return {
    instances: { kind: 'tensors', tensors: model.inputs.map((_, index) => inputOf(model, index, ids)) },
    answer: ([output]) => {
      const [best] = topClasses(softmax((output?.data ?? []) as ArrayLike<number>), 1)
      if (!best || Number.isNaN(best.score))
        throw new WeirError('internal', 'the model answered something that is not a number')
      return jsonAnswer({
        positive: best.index === preprocessing.positiveIndex,
        ...(model.labels[best.index] === undefined ? {} : { label: model.labels[best.index] }),
        confidence: best.score,
        model: model.name,
        model_version: model.version,
      })
    },
  }
}

/** The first input takes the ids. Others are the mask of what is text (all of it) and the number of the sentence (the first). */
function inputOf({ inputs }: ServedModel, index: number, ids: readonly number[]): NamedTensor {
  const input = inputs[index]
  if (!input) throw new WeirError('internal', `the model has no input ${index}`)
  const values = index === 0 ? ids : ids.map(() => (input.name.includes('mask') ? 1 : 0))
  return {
    name: input.name,
    type: input.type,
    shape: [1, ids.length],
    data: dataOfValues(input.type, values),
  }
}
