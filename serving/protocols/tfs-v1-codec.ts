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

const predictBody = z
  .strictObject({
    signature_name: z.string().optional(),
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
  const images = instances.flatMap((instance, index) => imageOfInstance(instance, index, model))
  if (images.length === 0) return { kind: 'tensors', tensors: tensorsOfRows(instances, model) }
  if (images.length < instances.length)
    throw new WeirError('bad_request', 'instances are partly images, partly not')
  if (images.length > MAX_ROWS) throw new WeirError('bad_request', `at most ${MAX_ROWS} instances at once`)
  return { kind: 'images', images }
}

/** {"b64": …}, alone or under the input's name. */
function imageOfInstance(instance: unknown, index: number, model: ServedModel): Uint8Array[] {
  const [input] = model.inputs
  const candidate = isRecord(instance) && input && input.name in instance ? instance[input.name] : instance
  const parsed = encoded.safeParse(candidate)
  return parsed.success ? [decodeBase64(parsed.data.b64, `instances.${index}.b64`)] : []
}

/** Plain values are rows of the only input; objects name theirs. */
function tensorsOfRows(instances: readonly unknown[], model: ServedModel): NamedTensor[] {
  const [only] = model.inputs
  if (!isRecord(instances[0])) return only ? [tensorOf(only, instances)] : []
  return namedColumns(model, input =>
    instances.map(instance => (isRecord(instance) ? instance[input.name] : undefined)),
  )
}

function columns(inputs: unknown, model: ServedModel): Instances {
  const [only] = model.inputs
  if (isRecord(inputs)) return { kind: 'tensors', tensors: namedColumns(model, input => inputs[input.name]) }
  return { kind: 'tensors', tensors: only ? [tensorOf(only, inputs)] : [] }
}

function namedColumns(model: ServedModel, column: (input: TensorSpec) => unknown): NamedTensor[] {
  return model.inputs.map(input => tensorOf(input, column(input)))
}

function tensorOf(input: TensorSpec, value: unknown): NamedTensor {
  const shape = shapeOf(value)
  checkShape(input, shape)
  const values = flatten(value)
  if (values.length !== elementCount(shape))
    throw new WeirError('bad_request', `the rows of "${input.name}" differ in size`)
  return { name: input.name, type: input.type, shape, data: dataOfValues(input.type, values) }
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
