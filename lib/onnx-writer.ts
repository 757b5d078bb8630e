// Writes ONNX files: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto

import { fieldHead, messageField, textField, varintField } from './protobuf.ts'

export interface OnnxTensor {
  readonly name: string
  /** A string is a dynamic dimension. */
  readonly shape: readonly (number | string)[]
  /** FLOAT by default; other numbers as in TensorProto.DataType. */
  readonly type?: number
}

export interface OnnxNode {
  readonly op: string
  readonly inputs: readonly string[]
  readonly output: string
  /** Whole numbers, or lists of them. */
  readonly attributes?: Readonly<Record<string, number | readonly number[]>>
}

export interface OnnxWeight {
  readonly name: string
  readonly shape: readonly number[]
  /** float32, or int64 where `whole`. */
  readonly values: readonly number[] | Float32Array
  readonly whole?: boolean
}

export interface OnnxGraph {
  readonly inputs: readonly OnnxTensor[]
  readonly outputs: readonly OnnxTensor[]
  readonly nodes: readonly OnnxNode[]
  readonly weights?: readonly OnnxWeight[]
}

const FLOAT = 1
const INT64 = 7
const IR_VERSION = 8
const OPSET = 13
const ATTRIBUTE_INT = 2
const ATTRIBUTE_INTS = 7
const CHUNK_BYTES = 16 * 1024 * 1024

export function writeOnnx({ inputs, outputs, nodes, weights = [] }: OnnxGraph): Buffer {
  const graph = Buffer.concat([
    ...nodes.map(nodeField),
    textField(2, 'graph'),
    ...weights.map(weightField),
    ...inputs.map(input => messageField(11, valueInfo(input))),
    ...outputs.map(output => messageField(12, valueInfo(output))),
  ])
  return Buffer.concat([
    varintField(1, IR_VERSION),
    messageField(7, graph),
    messageField(8, varintField(2, OPSET)),
  ])
}

/** As a field of the graph. */
export function nodeField({ op, inputs, output, attributes = {} }: OnnxNode): Buffer {
  const node = Buffer.concat([
    ...inputs.map(input => textField(1, input)),
    textField(2, output),
    textField(4, op),
    ...Object.entries(attributes).map(([name, value]) => messageField(5, attribute(name, value))),
  ])
  return messageField(1, node)
}

function attribute(name: string, value: number | readonly number[]): Buffer {
  const values =
    typeof value === 'number'
      ? [varintField(3, value), varintField(20, ATTRIBUTE_INT)]
      : [...value.map(one => varintField(8, one)), varintField(20, ATTRIBUTE_INTS)]
  return Buffer.concat([textField(1, name), ...values])
}

/** As a field of the graph. */
function weightField({ name, shape, values, whole = false }: OnnxWeight): Buffer {
  const elements = whole ? BigInt64Array.from(Array.from(values, BigInt)) : Float32Array.from(values)
  const head = tensorHead(name, shape, whole ? INT64 : FLOAT)
  return messageField(5, Buffer.concat([head, messageField(9, Buffer.from(elements.buffer))]))
}

/** A weight of zeros as parts of a field of the graph, however large: its bytes are never all in memory. */
export function zeroWeightField(name: string, shape: readonly number[]): Uint8Array[] {
  const bytes = 4 * shape.reduce((product, size) => product * size, 1)
  const head = Buffer.concat([tensorHead(name, shape, FLOAT), fieldHead(9, bytes)])
  const zeros = Buffer.alloc(Math.min(bytes, CHUNK_BYTES))
  const parts: Uint8Array[] = [Buffer.concat([fieldHead(5, head.length + bytes), head])]
  for (let left = bytes; left > 0; left -= zeros.length) parts.push(zeros.subarray(0, left))
  return parts
}

function tensorHead(name: string, shape: readonly number[], type: number): Buffer {
  return Buffer.concat([...shape.map(size => varintField(1, size)), varintField(2, type), textField(8, name)])
}

function valueInfo({ name, shape, type = FLOAT }: OnnxTensor): Buffer {
  const dimensions = shape.map(size =>
    messageField(1, typeof size === 'number' ? varintField(1, size) : textField(2, size)),
  )
  const tensorType = Buffer.concat([varintField(1, type), messageField(2, Buffer.concat(dimensions))])
  return Buffer.concat([textField(1, name), messageField(2, messageField(1, tensorType))])
}
