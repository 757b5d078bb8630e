// What ONNX Runtime does not tell about a graph: its operators, and how many numbers it stores. Reads just the fields
// needed of the protobuf: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto

import { fields, varints } from '../lib/protobuf.ts'

export interface GraphFacts {
  readonly operators: ReadonlySet<string>
  /** Elements of all initializers. */
  readonly parameters: number
  /** Weights in files beside this one, which are not read. */
  readonly hasExternalData: boolean
}

const MODEL_GRAPH = 7
const GRAPH_NODE = 1
const GRAPH_INITIALIZER = 5
const NODE_OP_TYPE = 4
const TENSOR_DIMS = 1
const TENSOR_DATA_LOCATION = 14

/** Undefined when the bytes are not the protobuf of a model with a graph. */
export function readGraphFacts(model: Uint8Array): GraphFacts | undefined {
  try {
    const graph = [...fields(model)].find(field => field.number === MODEL_GRAPH)
    return graph?.bytes && factsOfGraph(graph.bytes)
  } catch (error) {
    if (error instanceof RangeError) return undefined // it ended in the middle of a field
    throw error
  }
}

function factsOfGraph(graph: Uint8Array): GraphFacts {
  const operators = new Set<string>()
  let parameters = 0
  let hasExternalData = false
  for (const { number, bytes } of fields(graph)) {
    if (bytes === undefined) continue
    if (number === GRAPH_NODE) operators.add(operatorOf(bytes))
    if (number === GRAPH_INITIALIZER) {
      const tensor = describeInitializer(bytes)
      parameters += tensor.elements
      hasExternalData ||= tensor.external
    }
  }
  return { operators, parameters, hasExternalData }
}

function operatorOf(node: Uint8Array): string {
  for (const { number, bytes } of fields(node)) {
    if (number === NODE_OP_TYPE && bytes) return Buffer.from(bytes).toString('utf8')
  }
  return ''
}

function describeInitializer(tensor: Uint8Array): { elements: number; external: boolean } {
  let elements = 1
  let external = false
  for (const { number, bytes, value } of fields(tensor)) {
    if (number === TENSOR_DIMS)
      for (const dimension of bytes ? varints(bytes) : [value]) elements *= dimension
    if (number === TENSOR_DATA_LOCATION) external = value === 1
  }
  return { elements, external }
}
