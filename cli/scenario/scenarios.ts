import type { Drill } from '../../contract/rollout.ts'
import { sha256 } from '../../lib/hash.ts'
import { damageClassifier, PADDING_OPERATORS, padModel, paddingParameters } from './onnx-edit.ts'
import { writeResnet } from './resnet.ts'
import type { BaseVersion, VersionContent } from './version-content.ts'

export interface ScenarioOptions {
  /** What the version is called in its manifest; nothing looks at it. */
  readonly name: string
  /** The manifest's own limit, and what `oversized` is padded beyond. */
  readonly memoryLimitMiB: number
}

export interface Scenario {
  readonly shows: string
  /** The gate that stops it. */
  readonly stoppedAt: 'integration' | 'resources' | 'load' | 'quality'
  readonly build: (base: BaseVersion, options: ScenarioOptions) => VersionContent
}

/** Versions that fail, each in a way of its own: they differ in nothing but their files. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'bad-architecture': {
    shows: 'a ResNet-18 with as many outputs, under a manifest that declares another network',
    stoppedAt: 'integration',
    build: badArchitecture,
  },
  oversized: {
    shows: 'the same model, padded with weights until it takes more memory than its limit',
    stoppedAt: 'resources',
    build: oversized,
  },
  'crash-loop': {
    shows: 'a server that ends with an error as soon as it has started, again and again',
    stoppedAt: 'resources',
    build: crashLoop,
  },
  slow: {
    shows: 'the same model, each answer 2.5 seconds late',
    stoppedAt: 'load',
    build: (base, options) => drilled(base, options, { delayMs: 2500 }),
  },
  flaky: {
    shows: 'the same model, every fifth answer an error',
    stoppedAt: 'load',
    build: (base, options) => drilled(base, options, { failRate: 0.2 }),
  },
  degraded: {
    shows:
      'the same model with damaged weights: the contract holds, the reference image is right, most photos are not',
    stoppedAt: 'quality',
    build: degraded,
  },
}

const MIB = 2 ** 20
/** The rest of a model server takes more than this. */
const OTHER_MIB = 128

function badArchitecture(base: BaseVersion, options: ScenarioOptions): VersionContent {
  const { input, output, labels = [] } = base.manifest
  const shape = {
    input: input.name,
    output: output.name,
    classes: labels.length,
    side: input.shape[2] ?? 224,
  }
  return { ...like(base, options), model: [writeResnet(shape)] }
}

function oversized(base: BaseVersion, options: ScenarioOptions): VersionContent {
  const { input, output, labels = [], architecture } = base.manifest
  const bytes = Math.max(options.memoryLimitMiB - OTHER_MIB, OTHER_MIB) * MIB
  const padding = { input: input.name, output: output.name, classes: labels.length, bytes }
  const added = paddingParameters(padding)
  // the manifest says what the graph has: it is the memory that stops it, not the contract
  const declared = architecture && {
    ...architecture,
    parameters: { min: architecture.parameters.min + added, max: architecture.parameters.max + added },
    operators: [...new Set([...architecture.operators, ...PADDING_OPERATORS])],
  }
  const { manifest, files } = like(base, options)
  return {
    manifest: { ...manifest, ...(declared && { architecture: declared }) },
    model: padModel(base.model, padding),
    files,
  }
}

function degraded(base: BaseVersion, options: ScenarioOptions): VersionContent {
  const { labels = [], reference } = base.manifest
  const kept = Math.max(0, labels.indexOf(reference?.label ?? ''))
  return { ...like(base, options), model: damageClassifier(base.model, labels.length, kept) }
}

function drilled(base: BaseVersion, options: ScenarioOptions, drill: Partial<Drill>): VersionContent {
  const { manifest, files } = like(base, options)
  return { manifest: { ...manifest, drill }, model: [base.model], files }
}

const CRASHING = `echo "the server of this version cannot go on" >&2
sleep 0.2
exit 3
`

function crashLoop(
  { manifest }: BaseVersion,
  { name: version, memoryLimitMiB }: ScenarioOptions,
): VersionContent {
  const { name, labels } = manifest
  const routes = { live: '/livez', ready: '/readyz', predict: '/predict' }
  const server = {
    command: ['sh', 'serve.sh'],
    routes,
    files: [{ file: 'serve.sh', sha256: sha256(CRASHING) }],
  }
  return {
    manifest: { name, version, labels, memoryLimitMiB, server },
    files: new Map([['serve.sh', Buffer.from(CRASHING)]]),
  }
}

function like({ json, files }: BaseVersion, { name: version, memoryLimitMiB }: ScenarioOptions) {
  return { manifest: { ...json, version, memoryLimitMiB }, files }
}
