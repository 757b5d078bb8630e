import { WeirError } from '../../contract/errors.ts'
import { nodeField, zeroWeightField } from '../../lib/onnx-writer.ts'
import { fieldHead, fields, messageField, textField, varints, type Field } from '../../lib/protobuf.ts'

// Changes to a trained model's file: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto

const MODEL_GRAPH = 7
const GRAPH_NODE = 1
const GRAPH_INITIALIZER = 5
const NODE_OUTPUT = 2
const TENSOR_DIMS = 1
const TENSOR_TYPE = 2
const TENSOR_RAW = 9
const FLOAT = 1
const FLOAT_BYTES = 4

/** A file as its parts, one after the other: a large one is never whole in memory. */
export type Parts = readonly Uint8Array[]

export interface Padding {
  readonly input: string
  readonly output: string
  readonly classes: number
  readonly bytes: number
}

/**
 * The same model with weights that add nothing to its output, and are a part of every inference, so that no optimiser drops
 * them: input → means of the colours → a very wide layer of zeros → added to the output.
 */
export function padModel(model: Uint8Array, { input, output, classes, bytes }: Padding): Parts {
  const width = Math.ceil(bytes / FLOAT_BYTES / (3 + classes))
  const graph = graphFields(model)
  if (!graph.some(field => producesOutput(field, output)))
    throw new WeirError('invalid_setting', `no node of the model gives its output "${output}"`)
  return withGraph(model, [
    ...graph.map(field =>
      producesOutput(field, output) ? renameOutput(field, output, 'unpadded') : field.raw,
    ),
    nodeField({ op: 'GlobalAveragePool', inputs: [input], output: 'padding/means' }),
    nodeField({ op: 'Flatten', inputs: ['padding/means'], output: 'padding/flat' }),
    nodeField({ op: 'MatMul', inputs: ['padding/flat', 'padding/wide'], output: 'padding/hidden' }),
    nodeField({ op: 'MatMul', inputs: ['padding/hidden', 'padding/narrow'], output: 'padding/nothing' }),
    nodeField({ op: 'Add', inputs: ['unpadded', 'padding/nothing'], output }),
    ...zeroWeightField('padding/wide', [3, width]),
    ...zeroWeightField('padding/narrow', [width, classes]),
  ])
}

/** What the padding adds to what a manifest declares. */
export const PADDING_OPERATORS = ['GlobalAveragePool', 'Flatten', 'MatMul', 'Add'] as const

export function paddingParameters({ classes, bytes }: Pick<Padding, 'classes' | 'bytes'>): number {
  return Math.ceil(bytes / FLOAT_BYTES / (3 + classes)) * (3 + classes)
}

/**
 * The same model after its classifier has lost the weights of all classes but `kept`, which it says whatever it sees. Throws
 * where the classifier is not one of float32 with a row, and a bias, for each class.
 */
export function damageClassifier(model: Uint8Array, classes: number, kept: number): Parts {
  const damaged = { weights: 0, biases: 0 }
  const graph = graphFields(model).map(field => {
    const { number, bytes } = field
    if (number !== GRAPH_INITIALIZER || bytes === undefined) return field.raw
    const { dimensions, type, raw } = describeTensor(bytes)
    if (dimensions[0] !== classes || type !== FLOAT || raw === undefined) return field.raw
    if (dimensions.length > 2) return field.raw
    const isBias = dimensions.length === 1
    damaged[isBias ? 'biases' : 'weights'] += 1
    const lost = keepRow(raw, { rows: classes, kept, others: isBias ? NEVER : 0 })
    return messageField(GRAPH_INITIALIZER, replaceRaw(bytes, lost))
  })
  if (damaged.weights === 1 && damaged.biases === 1) return withGraph(model, graph)
  throw new WeirError(
    'invalid_setting',
    `the model has no classifier of float32 with ${classes} rows to damage; choose another --base`,
  )
}

/** A bias below anything that weights could make up for. */
const NEVER = -1000

function graphFields(model: Uint8Array): Field[] {
  try {
    const graph = [...fields(model)].find(({ number }) => number === MODEL_GRAPH)
    if (graph?.bytes) return [...fields(graph.bytes)]
  } catch (cause) {
    throw new WeirError('invalid_setting', 'the model of --base is not ONNX, or is cut short', { cause })
  }
  throw new WeirError('invalid_setting', 'the model of --base has no graph')
}

function withGraph(model: Uint8Array, graph: Parts): Parts {
  const bytes = graph.reduce((sum, part) => sum + part.length, 0)
  return [...fields(model)].flatMap(field =>
    field.number === MODEL_GRAPH ? [fieldHead(MODEL_GRAPH, bytes), ...graph] : [field.raw],
  )
}

function producesOutput({ number, bytes }: Field, output: string): boolean {
  if (number !== GRAPH_NODE || bytes === undefined) return false
  return [...fields(bytes)].some(field => field.number === NODE_OUTPUT && textOf(field) === output)
}

function renameOutput({ bytes = new Uint8Array() }: Field, from: string, to: string): Buffer {
  const node = [...fields(bytes)].map(field =>
    field.number === NODE_OUTPUT && textOf(field) === from ? textField(NODE_OUTPUT, to) : field.raw,
  )
  return messageField(GRAPH_NODE, Buffer.concat(node))
}

function textOf({ bytes = new Uint8Array() }: Field): string {
  return Buffer.from(bytes).toString('utf8')
}

function describeTensor(tensor: Uint8Array) {
  const all = [...fields(tensor)]
  return {
    dimensions: all
      .filter(({ number }) => number === TENSOR_DIMS)
      .flatMap(({ bytes, value }) => (bytes ? [...varints(bytes)] : [value])),
    type: all.find(({ number }) => number === TENSOR_TYPE)?.value,
    raw: all.find(({ number }) => number === TENSOR_RAW)?.bytes,
  }
}

function replaceRaw(tensor: Uint8Array, raw: Uint8Array): Buffer {
  return Buffer.concat(
    [...fields(tensor)].map(field =>
      field.number === TENSOR_RAW ? messageField(TENSOR_RAW, raw) : field.raw,
    ),
  )
}

interface KeptRow {
  readonly rows: number
  readonly kept: number
  /** What all other rows consist of. */
  readonly others: number
}

function keepRow(raw: Uint8Array, { rows, kept, others }: KeptRow): Uint8Array {
  const rowBytes = raw.length / rows
  const row = raw.subarray(kept * rowBytes, (kept + 1) * rowBytes)
  const result = Buffer.from(new Float32Array(raw.length / FLOAT_BYTES).fill(others).buffer)
  result.set(row, kept * rowBytes)
  return result
}
