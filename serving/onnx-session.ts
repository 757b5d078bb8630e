import * as ort from 'onnxruntime-node'
import { tensorType, type TensorSpec } from '../contract/model-manifest.ts'
import { ModelRefused } from './manifest.ts'
import type { NamedTensor, TensorData } from './tensor.ts'

export interface OnnxSession {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  /** Blocks this thread while it computes (https://github.com/microsoft/onnxruntime/issues/19611). */
  run(inputs: readonly NamedTensor[]): Promise<NamedTensor[]>
  release(): Promise<void>
}

/** Throws ModelRefused when the bytes are no graph that this build can run. */
export async function openSession(bytes: Uint8Array, threads: number): Promise<OnnxSession> {
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: ['cpu'],
    executionMode: 'sequential',
    interOpNumThreads: 1,
    intraOpNumThreads: threads,
    enableMemPattern: false, // one block for all of a run: 2 MiB more, and no faster
    logSeverityLevel: 3,
  }).catch((cause: unknown) => {
    throw new ModelRefused(`ONNX Runtime refuses the model: ${oneLine(cause)}`, { cause })
  })
  return {
    inputs: session.inputMetadata.map(specOf),
    outputs: session.outputMetadata.map(specOf),
    async run(inputs) {
      const feeds = Object.fromEntries(inputs.map(input => [input.name, toOrt(input)]))
      return Object.entries(await session.run(feeds)).map(([name, value]) => fromOrt(name, value))
    },
    release: () => session.release(),
  }
}

function specOf(metadata: ort.InferenceSession.ValueMetadata): TensorSpec {
  if (!metadata.isTensor) throw new ModelRefused(`"${metadata.name}" of the graph is not a tensor`)
  const type = tensorType.safeParse(metadata.type)
  if (!type.success)
    throw new ModelRefused(`"${metadata.name}" of the graph is ${metadata.type}, which is not served`)
  const shape = metadata.shape.map(dimension => (typeof dimension === 'number' ? dimension : -1))
  return { name: metadata.name, type: type.data, shape }
}

function toOrt({ type, data, shape }: NamedTensor): ort.Tensor {
  return new ort.Tensor(type, data as ort.Tensor.DataTypeMap[typeof type], shape)
}

function fromOrt(name: string, value: ort.OnnxValue): NamedTensor {
  const { type, dims, data } = value as ort.Tensor
  return { name, type: tensorType.parse(type), shape: dims, data: data as TensorData }
}

/** ONNX Runtime prints source positions of its own build; the first sentence is what a person needs. */
function oneLine(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause)
  return (message.split('\n')[0] ?? '').replaceAll(/\/\S+\.(cc|h):\d+\s*/g, '').slice(0, 300)
}
