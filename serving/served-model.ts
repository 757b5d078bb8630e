import type { ModelManifest, TensorSpec } from '../contract/model-manifest.ts'

/** What is served: the manifest's contract, or for a bare ONNX file what its graph says. */
export interface ServedModel {
  readonly name: string
  /** Undefined for a bare file, which has no version to speak of. */
  readonly version: string | undefined
  readonly digest: string | undefined
  readonly labels: readonly string[]
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  readonly preprocessing: ModelManifest['preprocessing']
}

/** The version in URLs and metrics of a model that has none. */
export const UNVERSIONED = 'unversioned'

export function describeModel(
  name: string,
  manifest: ModelManifest | undefined,
  { inputs, outputs }: Pick<ServedModel, 'inputs' | 'outputs'>,
): ServedModel {
  if (!manifest) {
    const nothing = { version: undefined, digest: undefined, labels: [] }
    return { name, ...nothing, inputs, outputs, preprocessing: { kind: 'tensor' } }
  }
  return {
    name: manifest.name,
    version: manifest.version,
    digest: manifest.digest,
    labels: manifest.labels ?? [],
    // a graph may take and answer more than the manifest speaks of; names and types are then the graph's own
    inputs: [manifest.input, ...inputs.filter(({ name }) => name !== manifest.input.name)],
    outputs: [manifest.output, ...outputs.filter(({ name }) => name !== manifest.output.name)],
    preprocessing: manifest.preprocessing,
  }
}
