import { z } from 'zod'
import { WeirError } from '../../contract/errors.ts'
import type { TensorSpec } from '../../contract/model-manifest.ts'
import { describeIssues } from '../../lib/parse.ts'
import { decodeBase64 } from '../base64.ts'
import { parseJsonBody } from '../json-body.ts'
import { jsonAnswer, MAX_ROWS, type Instances, type ModelRequest } from '../model-request.ts'
import type { ServedModel } from '../served-model.ts'
import {
  checkShape,
  dataOfValues,
  elementCount,
  flatten,
  shapeOf,
  valuesOfData,
  type NamedTensor,
} from '../tensor.ts'

// TensorFlow Serving's REST API, row format ("instances") and column format ("inputs"):
// https://www.tensorflow.org/tfx/serving/api_rest#predict_api

/** An ONNX graph has one way to be called; this is what TensorFlow calls the usual one. */
export const SIGNATURE = 'serving_default'

const predictBody = z
  .strictObject({
    signature_name: z.literal(SIGNATURE, `must be "${SIGNATURE}", the only one`).optional(),
    instances: z.array(z.unknown()).min(1).optional(),
    inputs: z.unknown().optional(),
  })
  .refine(({ instances, inputs }) => (instances === undefined) !== (inputs === undefined), {
    message: 'give either instances or inputs',
  })

const encoded = z.strictObject({ b64: z.string() })

export function readPredictV1(body: Uint8Array, model: ServedModel): ModelRequest {
  const parsed = predictBody.safeParse(parseJsonBody(body))
  if (!parsed.success) throw new WeirError('bad_request', describeIssues(parsed.error))
  const { instances, inputs } = parsed.data
  if (instances === undefined) {
    return {
      instances: columns(inputs, model),
      answer: outputs => jsonAnswer({ outputs: columnsOf(outputs) }),
    }
  }
  return {
    instances: rows(instances, model),
    answer: outputs => jsonAnswer({ predictions: rowsOf(outputs) }),
  }
}

function rows(instances: readonly unknown[], model: ServedModel): Instances {
  return (
    imagesIn(instances, 'instances', model) ?? { kind: 'tensors', tensors: tensorsOfRows(instances, model) }
  )
}

function columns(inputs: unknown, model: ServedModel): Instances {
  const [only] = model.inputs
  const column = isRecord(inputs) && only && only.name in inputs ? inputs[only.name] : inputs
  const images = imagesIn(Array.isArray(column) ? column : [column], 'inputs', model)
  return images ?? { kind: 'tensors', tensors: tensorsOfColumns(inputs, model) }
}

/** Encoded photos, where the model takes photos and these are some. */
function imagesIn(values: readonly unknown[], where: string, model: ServedModel): Instances | undefined {
  if (model.preprocessing.kind !== 'image') return undefined
  const images = values.flatMap((value, index) => imageOf(value, `${where}.${index}`, model))
  if (images.length === 0) return undefined
  if (images.length < values.length)
    throw new WeirError('bad_request', `${where} are partly images, partly not`)
  if (images.length > MAX_ROWS) throw new WeirError('bad_request', `at most ${MAX_ROWS} images at once`)
  return { kind: 'images', images }
}

/** {"b64": …}, alone or under the input's name. */
function imageOf(value: unknown, where: string, model: ServedModel): Uint8Array[] {
  const [input] = model.inputs
  const named = isRecord(value) && input !== undefined && input.name in value
  if (named) refuseUnknown(value, where, model)
  const parsed = encoded.safeParse(named ? value[input.name] : value)
  return parsed.success ? [decodeBase64(parsed.data.b64, `${where}.b64`)] : []
}

/** Plain values are rows of the only input; objects name theirs. */
function tensorsOfRows(instances: readonly unknown[], model: ServedModel): NamedTensor[] {
  if (!instances.some(isNaming)) return [tensorOf(onlyInput(model), instances)]
  const named = instances.map((instance, index) => {
    if (!isNaming(instance)) throw new WeirError('bad_request', 'instances partly name inputs, partly not')
    refuseUnknown(instance, `instances.${index}`, model)
    return instance
  })
  return model.inputs.map(input =>
    tensorOf(
      input,
      named.map((instance, index) => memberOf(instance, input, `instances.${index}`)),
    ),
  )
}

function tensorsOfColumns(inputs: unknown, model: ServedModel): NamedTensor[] {
  if (!isNaming(inputs)) return [tensorOf(onlyInput(model), inputs)]
  refuseUnknown(inputs, 'inputs', model)
  return model.inputs.map(input => tensorOf(input, memberOf(inputs, input, 'inputs')))
}

/** {"b64": …} is a value, the binary form of a text. */
function isNaming(value: unknown): value is Record<string, unknown> {
  return isRecord(value) && !encoded.safeParse(value).success
}

function refuseUnknown(record: Record<string, unknown>, where: string, model: ServedModel): void {
  const unknown = Object.keys(record).find(name => !model.inputs.some(input => input.name === name))
  if (unknown !== undefined)
    throw new WeirError('bad_request', `${where} names "${unknown}"; the model has ${namesOf(model)}`)
}

function memberOf(record: Record<string, unknown>, { name }: TensorSpec, where: string): unknown {
  if (name in record) return record[name]
  throw new WeirError('bad_request', `${where} has no "${name}"`)
}

function onlyInput(model: ServedModel): TensorSpec {
  const [only, ...others] = model.inputs
  if (only && others.length === 0) return only
  throw new WeirError('bad_request', `the model has several inputs, which must be named: ${namesOf(model)}`)
}

const namesOf = ({ inputs }: ServedModel) => inputs.map(({ name }) => `"${name}"`).join(', ')

function tensorOf(input: TensorSpec, value: unknown): NamedTensor {
  const shape = shapeOf(value)
  checkShape(input, shape)
  const values = flatten(input.name, value)
  const data = dataOfValues(input.type, input.type === 'string' ? values.map(textOf) : values)
  return { name: input.name, type: input.type, shape, data }
}

function textOf(value: unknown): unknown {
  const parsed = encoded.safeParse(value)
  return parsed.success ? Buffer.from(decodeBase64(parsed.data.b64, 'b64')).toString('utf8') : value
}

function columnsOf(outputs: readonly NamedTensor[]): unknown {
  const nested = outputs.map(output => [output.name, nest(valuesOfData(output), output.shape)] as const)
  return nested.length === 1 ? nested[0]?.[1] : Object.fromEntries(nested)
}

function rowsOf(outputs: readonly NamedTensor[]): unknown {
  const [only] = outputs
  if (only && outputs.length === 1) return nest(valuesOfData(only), only.shape)
  const byName = outputs.map(output => [output.name, nest(valuesOfData(output), output.shape)] as const)
  const rowCount = outputs[0]?.shape[0] ?? 0
  return Array.from({ length: rowCount }, (_, row) =>
    Object.fromEntries(byName.map(([name, values]) => [name, Array.isArray(values) ? values[row] : values])),
  )
}

function nest(values: readonly unknown[], shape: readonly number[]): unknown {
  const [first, ...rest] = shape
  if (first === undefined) return values[0]
  if (rest.length === 0) return values
  const size = elementCount(rest)
  return Array.from({ length: first }, (_, row) => nest(values.slice(row * size, (row + 1) * size), rest))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
