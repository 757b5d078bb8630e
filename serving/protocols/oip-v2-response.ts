import { datatypeOf } from '../../contract/datatype.ts'
import type { WireAnswer } from '../inference-messages.ts'
import { topClasses } from '../class-scores.ts'
import { jsonAnswer } from '../model-request.ts'
import { UNVERSIONED, type ServedModel } from '../served-model.ts'
import { bytesOfData, valuesOfData, type NamedTensor, type TensorData } from '../tensor.ts'
import { joinBytesElements } from './bytes-elements.ts'
import type { InferRequest } from './oip-v2-schema.ts'

export interface Inferred {
  readonly request: InferRequest
  readonly model: ServedModel
  readonly outputs: readonly NamedTensor[]
}

/** JSON, or JSON followed by the outputs that were asked for in binary. */
export function writeInferResponse({ request, model, outputs }: Inferred): WireAnswer {
  const { outputs: named = [] } = request
  const wanted = named.length > 0 ? named : model.outputs.map(({ name }) => ({ name, parameters: undefined }))
  const binaries: Uint8Array[] = []
  const described = wanted.map(({ name, parameters }) => {
    const tensor = outputs.find(output => output.name === name) as NamedTensor // names were checked on the way in
    const classes = parameters?.classification
    const output = classes === undefined ? tensor : classify(tensor, classes, model.labels)
    const head = { name, shape: output.shape, datatype: datatypeOf(output.type) }
    if (!(parameters?.binary_data ?? request.parameters?.binary_data_output ?? false)) {
      return { ...head, data: valuesOfData(output) }
    }
    const binary = binaryOf(output.data)
    binaries.push(binary)
    return { ...head, parameters: { binary_data_size: binary.byteLength } }
  })
  const answer = jsonAnswer({
    model_name: model.name,
    model_version: model.version ?? UNVERSIONED,
    ...(request.id === undefined ? {} : { id: request.id }),
    outputs: described,
  })
  return binaries.length === 0 ? answer : withBinary(answer.body, binaries)
}

function withBinary(json: string | Uint8Array, binaries: readonly Uint8Array[]): WireAnswer {
  const header = Buffer.from(json)
  return {
    contentType: 'application/octet-stream',
    headers: { 'inference-header-content-length': String(header.byteLength) },
    body: Buffer.concat([header, ...binaries]),
  }
}

function binaryOf(data: TensorData): Uint8Array {
  return Array.isArray(data) ? joinBytesElements(data) : bytesOfData(data)
}

/** The classification extension: the `count` highest of each row as "value:index:label". */
function classify(tensor: NamedTensor, count: number, labels: readonly string[]): NamedTensor {
  const classes = tensor.shape.at(-1) ?? 1
  const values = Array.from(tensor.data, Number)
  const kept = Math.min(count, classes)
  const data = Array.from({ length: values.length / classes }, (_, row) =>
    topClasses(values.slice(row * classes, (row + 1) * classes), kept).map(({ index, score }) => {
      const label = labels[index]
      return `${score}:${index}${label === undefined ? '' : `:${label}`}`
    }),
  ).flat()
  return { name: tensor.name, type: 'string', shape: [...tensor.shape.slice(0, -1), kept], data }
}
