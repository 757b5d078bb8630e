// Small ONNX files, so that the tests need neither Python nor a trained model.

import { writeOnnx } from '../../lib/onnx-writer.ts'

const INT64 = 7
const STRING = 8

/** x / 2 + 2, the model that TensorFlow Serving's documentation uses. */
export function halfPlusTwo(input = 'x'): Buffer {
  return writeOnnx({
    inputs: [{ name: input, shape: ['batch'] }],
    outputs: [{ name: 'y', shape: ['batch'] }],
    nodes: [
      { op: 'Mul', inputs: [input, 'half'], output: 'halved' },
      { op: 'Add', inputs: ['halved', 'two'], output: 'y' },
    ],
    weights: [
      { name: 'half', shape: [], values: [0.5] },
      { name: 'two', shape: [], values: [2] },
    ],
  })
}

interface ColourGraph {
  readonly classes?: number
  readonly side?: number
  /** Rows that its input and output have; a string where each run chooses. */
  readonly batch?: number | string
  /** Takes the batch for one row within, as careless exports do: more rows cannot be computed. */
  readonly oneRow?: boolean
}

/** Repeats the texts that it gets. */
export function echo(): Buffer {
  return writeOnnx({
    inputs: [{ name: 'text', shape: ['batch'], type: STRING }],
    outputs: [{ name: 'same', shape: ['batch'], type: STRING }],
    nodes: [{ op: 'Identity', inputs: ['text'], output: 'same' }],
  })
}

/** a + b, and a * b. */
export function sumAndProduct(): Buffer {
  return writeOnnx({
    inputs: ['a', 'b'].map(name => ({ name, shape: ['batch'] })),
    outputs: ['sum', 'product'].map(name => ({ name, shape: ['batch'] })),
    nodes: [
      { op: 'Add', inputs: ['a', 'b'], output: 'sum' },
      { op: 'Mul', inputs: ['a', 'b'], output: 'product' },
    ],
  })
}

/** Tells red, green and blue photos apart by their mean colour: `classes` outputs, the first three of them meaningful. */
export function colourClassifier(graph: ColourGraph = {}): Buffer {
  const { classes = 3, side = 224, batch = 'batch', oneRow = false } = graph
  const values = Array.from({ length: 3 * classes }, (_, index) =>
    Math.floor(index / classes) === index % classes ? 1 : 0,
  )
  return writeOnnx({
    inputs: [{ name: 'input', shape: [batch, 3, side, side] }],
    outputs: [{ name: 'logits', shape: [batch, classes] }],
    nodes: [
      { op: 'GlobalAveragePool', inputs: ['input'], output: 'means' },
      { op: 'Flatten', inputs: ['means'], output: 'flat' },
      ...(oneRow ? ONE_ROW : []),
      { op: 'MatMul', inputs: [oneRow ? 'spread' : 'flat', 'weights'], output: 'logits' },
    ],
    weights: [
      { name: 'weights', shape: [3, classes], values },
      ...(oneRow ? [{ name: 'first', shape: [1], values: [0], whole: true }] : []),
    ],
  })
}

/** By way of the shape at run time, so that ONNX Runtime does not find out when it loads the graph. */
const ONE_ROW = [
  { op: 'Squeeze', inputs: ['flat', 'first'], output: 'row' },
  { op: 'Shape', inputs: ['flat'], output: 'shape' },
  { op: 'Expand', inputs: ['row', 'shape'], output: 'spread' },
]

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
