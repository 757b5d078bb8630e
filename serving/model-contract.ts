import type { Architecture, ModelManifest, TensorSpec } from '../contract/model-manifest.ts'
import type { GraphFacts } from './onnx-graph.ts'

export interface GraphContract {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
}

/** Everything in which a graph is not what its manifest declares, as sentences; empty when it fits. */
export function contractProblems(manifest: ModelManifest, graph: GraphContract, facts: GraphFacts): string[] {
  return [
    ...tensorProblems('input', manifest.input, graph.inputs),
    ...tensorProblems('output', manifest.output, graph.outputs),
    ...classProblems(manifest),
    ...cropProblems(manifest),
    ...profileProblems(manifest),
    ...(manifest.architecture ? architectureProblems(manifest.architecture, facts) : []),
  ]
}

function tensorProblems(role: string, declared: TensorSpec, actual: readonly TensorSpec[]): string[] {
  const found = actual.find(({ name }) => name === declared.name)
  if (!found) {
    const names = actual.map(({ name }) => `"${name}"`).join(', ')
    return [`the graph has no ${role} "${declared.name}" (it has ${names})`]
  }
  const problems: string[] = []
  if (found.type !== declared.type) {
    problems.push(`${role} "${declared.name}" is ${found.type} in the graph, ${declared.type} in model.json`)
  }
  if (!shapesFit(declared.shape, found.shape)) {
    problems.push(
      `${role} "${declared.name}" has shape [${found.shape.join(', ')}] in the graph, [${declared.shape.join(', ')}] in model.json`,
    )
  }
  return problems
}

/** A manifest may be more definite than a graph with dynamic dimensions, never the other way round. */
function shapesFit(declared: readonly number[], actual: readonly number[]): boolean {
  return (
    declared.length === actual.length &&
    declared.every((dimension, index) => actual[index] === -1 || actual[index] === dimension)
  )
}

function classProblems({ labels, output, preprocessing }: ModelManifest): string[] {
  const classes = output.shape.at(-1)
  if (labels === undefined || preprocessing.kind === 'tensor' || classes === labels.length) return []
  return [`output "${output.name}" has ${classes} classes, model.json has ${labels.length} labels`]
}

function cropProblems({ input, preprocessing }: ModelManifest): string[] {
  if (preprocessing.kind !== 'image') return []
  const { centreCrop, resizeShortSide } = preprocessing
  const [batch, ...image] = input.shape
  if (input.type !== 'float32' || batch === undefined || image.join() !== `3,${centreCrop},${centreCrop}`) {
    return [
      `an image of ${centreCrop} by ${centreCrop} does not fit input "${input.name}" [${input.shape.join(', ')}]`,
    ]
  }
  return centreCrop > resizeShortSide ? ['centreCrop is larger than resizeShortSide'] : []
}

/** What images are compared with must be of this model, or drift is told where there is none. */
function profileProblems({ profile, labels = [] }: ModelManifest): string[] {
  if (!profile) return []
  const problems = Object.entries(profile.features).flatMap(([feature, { bounds }]) =>
    bounds.every((bound, index) => index === 0 || bound > (bounds[index - 1] ?? bound))
      ? []
      : [`the bounds of profile.features.${feature} do not rise`],
  )
  if (profile.labels !== undefined && profile.labels.length !== labels.length)
    problems.push(`profile.labels counts ${profile.labels.length} labels, model.json has ${labels.length}`)
  return problems
}

/** A graph that was exported with a fixed number of rows computes exactly so many, and photos come one by one. */
export function batchProblems(
  { input, preprocessing }: ModelManifest,
  graph: Pick<GraphContract, 'inputs'>,
  maxBatch: number,
): string[] {
  const rows = graph.inputs.find(({ name }) => name === input.name)?.shape[0]
  if (preprocessing.kind !== 'image' || rows === undefined || rows === -1) return []
  const dynamic = 'export it with a dynamic batch dimension'
  if (rows !== 1) return [`the graph computes exactly ${rows} rows at a time; ${dynamic}`]
  return maxBatch > 1 ? [`--max-batch is ${maxBatch}, the graph computes one row at a time; ${dynamic}`] : []
}

function architectureProblems({ family, parameters, operators }: Architecture, facts: GraphFacts): string[] {
  const problems: string[] = []
  if (facts.parameters < parameters.min || facts.parameters > parameters.max) {
    problems.push(
      `the graph has ${facts.parameters} parameters, a ${family} has ${parameters.min} to ${parameters.max}`,
    )
  }
  const undeclared = [...facts.operators].filter(operator => !operators.includes(operator))
  if (undeclared.length > 0)
    problems.push(`the graph uses operators not declared for a ${family}: ${undeclared.join(', ')}`)
  return problems
}
