// Writes small ONNX files, so that the tests need neither Python nor a trained model.
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto

export interface TinyTensor {
  readonly name: string
  /** A string is a dynamic dimension. */
  readonly shape: readonly (number | string)[]
  /** FLOAT by default; other numbers as in TensorProto.DataType. */
  readonly type?: number
}

export interface TinyGraph {
  readonly inputs: readonly TinyTensor[]
  readonly outputs: readonly TinyTensor[]
  readonly nodes: readonly {
    readonly op: string
    readonly inputs: readonly string[]
    readonly output: string
  }[]
  readonly weights?: readonly {
    readonly name: string
    readonly shape: readonly number[]
    readonly values: readonly number[]
    /** int64 instead of float32. */
    readonly whole?: boolean
  }[]
}

const FLOAT = 1
const INT64 = 7
const IR_VERSION = 8
const OPSET = 13

function writeOnnx({ inputs, outputs, nodes, weights = [] }: TinyGraph): Buffer {
  const graph = Buffer.concat([
    ...nodes.map(node => message(1, nodeProto(node))),
    text(2, 'graph'),
    ...weights.map(weight => message(5, tensorProto(weight))),
    ...inputs.map(input => message(11, valueInfo(input))),
    ...outputs.map(output => message(12, valueInfo(output))),
  ])
  return Buffer.concat([number(1, IR_VERSION), message(7, graph), message(8, number(2, OPSET))])
}

/** x / 2 + 2, the model that TensorFlow Serving's documentation uses. */
export function halfPlusTwo(): Buffer {
  return writeOnnx({
    inputs: [{ name: 'x', shape: ['batch'] }],
    outputs: [{ name: 'y', shape: ['batch'] }],
    nodes: [
      { op: 'Mul', inputs: ['x', 'half'], output: 'halved' },
      { op: 'Add', inputs: ['halved', 'two'], output: 'y' },
    ],
    weights: [
      { name: 'half', shape: [], values: [0.5] },
      { name: 'two', shape: [], values: [2] },
    ],
  })
}

/** Tells red, green and blue photos apart by their mean colour: `classes` outputs, the first three of them meaningful. */
export function colourClassifier({ classes = 3, side = 224 } = {}): Buffer {
  const values = Array.from({ length: 3 * classes }, (_, index) =>
    Math.floor(index / classes) === index % classes ? 1 : 0,
  )
  return writeOnnx({
    inputs: [{ name: 'input', shape: ['batch', 3, side, side] }],
    outputs: [{ name: 'logits', shape: ['batch', classes] }],
    nodes: [
      { op: 'GlobalAveragePool', inputs: ['input'], output: 'means' },
      { op: 'Flatten', inputs: ['means'], output: 'flat' },
      { op: 'MatMul', inputs: ['flat', 'weights'], output: 'logits' },
    ],
    weights: [{ name: 'weights', shape: [3, classes], values }],
  })
}

/** Adds up a weight for each token: class 1 wins where `positive` tokens outnumber `negative` ones. */
export function tokenCounter(
  vocabulary: number,
  positive: readonly number[],
  negative: readonly number[],
): Buffer {
  const values = Array.from({ length: vocabulary }, (_, id) => [
    negative.includes(id) ? 1 : 0,
    positive.includes(id) ? 1 : 0,
  ])
  return writeOnnx({
    inputs: [{ name: 'input', shape: ['batch', 'tokens'], type: INT64 }],
    outputs: [{ name: 'output', shape: ['batch', 2] }],
    nodes: [
      { op: 'Gather', inputs: ['weights', 'input'], output: 'each' },
      { op: 'ReduceSum', inputs: ['each', 'second'], output: 'sums' },
      { op: 'Squeeze', inputs: ['sums', 'second'], output: 'output' },
    ],
    weights: [
      { name: 'weights', shape: [vocabulary, 2], values: values.flat() },
      { name: 'second', shape: [1], values: [1], whole: true },
    ],
  })
}

function nodeProto({ op, inputs, output }: TinyGraph['nodes'][number]): Buffer {
  return Buffer.concat([...inputs.map(input => text(1, input)), text(2, output), text(4, op)])
}

function tensorProto({
  name,
  shape,
  values,
  whole = false,
}: NonNullable<TinyGraph['weights']>[number]): Buffer {
  const elements = whole ? BigInt64Array.from(values.map(BigInt)) : Float32Array.from(values)
  return Buffer.concat([
    ...shape.map(size => number(1, size)),
    number(2, whole ? INT64 : FLOAT),
    text(8, name),
    message(9, Buffer.from(elements.buffer)),
  ])
}

function valueInfo({ name, shape, type = FLOAT }: TinyTensor): Buffer {
  const dimensions = shape.map(size => message(1, typeof size === 'number' ? number(1, size) : text(2, size)))
  const tensorType = Buffer.concat([number(1, type), message(2, Buffer.concat(dimensions))])
  return Buffer.concat([text(1, name), message(2, message(1, tensorType))])
}

function number(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)])
}

function text(field: number, value: string): Buffer {
  return message(field, Buffer.from(value, 'utf8'))
}

function message(field: number, content: Buffer): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(content.length), content])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80)
  return Buffer.from([...bytes, rest])
}
