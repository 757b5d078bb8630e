import { datatypeOf } from '../../contract/datatype.ts'
import { WeirError } from '../../contract/errors.ts'
import type { TensorSpec } from '../../contract/model-manifest.ts'
import { describeIssues } from '../../lib/parse.ts'
import { decodeBase64 } from '../base64.ts'
import { parseJsonBody } from '../json-body.ts'
import { MAX_ROWS, type Instances, type ModelRequest } from '../model-request.ts'
import type { ServedModel } from '../served-model.ts'
import { checkShape, dataOfBytes, dataOfValues, elementCount, flatten, type NamedTensor } from '../tensor.ts'
import { splitBytesElements } from './bytes-elements.ts'
import { writeInferResponse } from './oip-v2-response.ts'
import { inferRequest, type InferInput, type InferRequest, type RequestedOutput } from './oip-v2-schema.ts'

/** `headerBytes` is the value of Inference-Header-Content-Length: how much of the body is JSON; the rest is binary data. */
export function readInferRequest(
  body: Uint8Array,
  headerBytes: number | undefined,
  model: ServedModel,
): ModelRequest {
  if (headerBytes !== undefined && headerBytes > body.byteLength) {
    throw new WeirError('bad_request', 'Inference-Header-Content-Length is longer than the body')
  }
  const request = parseHeader(body.subarray(0, headerBytes))
  const binaries = sliceBinaries(request.inputs, body.subarray(headerBytes ?? body.byteLength))
  for (const output of request.outputs ?? []) checkOutput(output, model)
  return {
    instances: readInputs(request.inputs, binaries, model),
    answer: outputs => writeInferResponse({ request, model, outputs }),
  }
}

function parseHeader(json: Uint8Array): InferRequest {
  const parsed = inferRequest.safeParse(parseJsonBody(json))
  if (!parsed.success) throw new WeirError('bad_request', describeIssues(parsed.error))
  return parsed.data
}

function checkOutput({ name, parameters }: RequestedOutput, { outputs }: ServedModel): void {
  const output = outputs.find(one => one.name === name)
  if (!output) throw new WeirError('bad_request', `the model has no output "${name}"`)
  if (parameters?.classification !== undefined && output.type === 'string') {
    throw new WeirError(
      'bad_request',
      `output "${name}" is text, and cannot be ranked by the classification extension`,
    )
  }
}

/** The part of the binary data that belongs to each input, in order; undefined for one with JSON data. */
function sliceBinaries(inputs: readonly InferInput[], binary: Uint8Array): (Uint8Array | undefined)[] {
  let at = 0
  const slices = inputs.map(({ name, parameters, data }) => {
    const size = parameters?.binary_data_size
    if (size === undefined) return undefined
    if (data !== undefined)
      throw new WeirError('bad_request', `input "${name}" has both data and binary_data_size`)
    if (at + size > binary.byteLength)
      throw new WeirError('bad_request', `the binary data ends within input "${name}"`)
    at += size
    return binary.subarray(at - size, at)
  })
  if (at < binary.byteLength)
    throw new WeirError('bad_request', `${binary.byteLength - at} bytes belong to no input`)
  return slices
}

function readInputs(
  inputs: readonly InferInput[],
  binaries: readonly (Uint8Array | undefined)[],
  model: ServedModel,
): Instances {
  const [first] = inputs
  if (model.preprocessing.kind === 'image' && first?.datatype === 'BYTES') {
    specOf(first, model)
    if (inputs.length > 1) throw new WeirError('bad_request', 'encoded images are the only input')
    return { kind: 'images', images: imagesOf(first, binaries[0]) }
  }
  const tensors = inputs.map((input, index) => tensorOf(input, binaries[index], model))
  const missing = model.inputs.find(({ name }) => !tensors.some(tensor => tensor.name === name))
  if (missing) throw new WeirError('bad_request', `input "${missing.name}" is missing`)
  if (new Set(tensors.map(({ name }) => name)).size < tensors.length) {
    throw new WeirError('bad_request', 'an input is given twice')
  }
  return { kind: 'tensors', tensors }
}

function specOf(input: InferInput, model: ServedModel): TensorSpec {
  const spec = model.inputs.find(({ name }) => name === input.name)
  if (spec) return spec
  const names = model.inputs.map(({ name }) => `"${name}"`).join(', ')
  throw new WeirError('bad_request', `the model has no input "${input.name}"; it has ${names}`)
}

function imagesOf(input: InferInput, binary: Uint8Array | undefined): Uint8Array[] {
  const count = elementCount(input.shape)
  if (count < 1 || count > MAX_ROWS) throw new WeirError('bad_request', `1 to ${MAX_ROWS} images at once`)
  const images = binary ? splitBytesElements(binary) : base64Elements(input.data, input.name)
  if (images.length !== count)
    throw new WeirError('bad_request', `shape says ${count} images, data has ${images.length}`)
  return images
}

function base64Elements(data: unknown, name: string): Uint8Array[] {
  return flatten(name, data ?? []).map(element => {
    if (typeof element !== 'string')
      throw new WeirError('bad_request', `data of "${name}" must be base64 strings`)
    return decodeBase64(element, `data of "${name}"`)
  })
}

function tensorOf(input: InferInput, binary: Uint8Array | undefined, model: ServedModel): NamedTensor {
  const spec = specOf(input, model)
  const expected = datatypeOf(spec.type)
  if (input.datatype !== expected) {
    throw new WeirError(
      'bad_request',
      `input "${spec.name}" is ${expected}, the request has ${input.datatype}`,
    )
  }
  checkShape(spec, input.shape)
  const data = binary
    ? dataOfBinary(spec, binary)
    : dataOfValues(spec.type, flatten(spec.name, input.data ?? []))
  if (data.length !== elementCount(input.shape)) {
    const shape = `[${input.shape.join(', ')}]`
    throw new WeirError(
      'bad_request',
      `shape ${shape} needs ${elementCount(input.shape)} elements, data has ${data.length}`,
    )
  }
  return { name: spec.name, type: spec.type, shape: input.shape, data }
}

function dataOfBinary(spec: TensorSpec, binary: Uint8Array) {
  if (spec.type !== 'string') return dataOfBytes(spec.type, binary)
  return splitBytesElements(binary).map(element => Buffer.from(element).toString('utf8'))
}
