import { z } from 'zod'
import { drill } from './rollout.ts'

// model.json, which lies beside model.onnx and says what the graph takes, what it answers and how good it was measured to be.

export const tensorType = z.enum([
  'float32',
  'float64',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'bool',
  'string',
])
export type TensorType = z.infer<typeof tensorType>

/** One input or output of the graph; -1 is a dimension that each request chooses, the first one being the batch. */
export const tensorSpec = z.strictObject({
  name: z.string().min(1),
  type: tensorType,
  shape: z.array(z.int().min(-1)).max(8),
})
export type TensorSpec = z.infer<typeof tensorSpec>

const fileName = z.string().regex(/^(?!\.\.?$)[\w.-]+$/, 'must be the name of a file beside model.json')
const rgb = z.tuple([z.number(), z.number(), z.number()])

/** Photos: resized, cropped to the middle, scaled by `scale` and normalised per channel, in this order. */
const imagePreprocessing = z.strictObject({
  kind: z.literal('image'),
  colour: z.literal('RGB'),
  resizeShortSide: z.int().min(1).max(4096),
  interpolation: z.literal('bilinear'),
  antialias: z.literal(true),
  centreCrop: z.int().min(1).max(4096),
  scale: z.number().positive(),
  mean: rgb,
  std: rgb.refine(values => values.every(value => value > 0), 'must be positive'),
})
export type ImagePreprocessing = z.infer<typeof imagePreprocessing>

/** Numbers as the client sends them. */
const tensorPreprocessing = z.strictObject({ kind: z.literal('tensor') })

/** Text, through the Hugging Face tokenizer in the named file beside the model. */
const textPreprocessing = z.strictObject({
  kind: z.literal('text'),
  tokenizer: fileName.default('tokenizer.json'),
  /** The digest covers the graph and this manifest only; with this it covers the tokenizer as well. */
  tokenizerSha256: z.string().optional(),
  maxTokens: z.int().min(1).max(8192).default(512),
  /** The index among the outputs that means "positive". */
  positiveIndex: z.int().min(0).default(1),
})

export type TextPreprocessing = z.infer<typeof textPreprocessing>

const preprocessing = z.discriminatedUnion('kind', [
  imagePreprocessing,
  tensorPreprocessing,
  textPreprocessing,
])

/** Facts about the graph that tell one architecture from another; checked when the model is loaded. */
const architecture = z.strictObject({
  family: z.string(),
  precision: z.string(),
  /** Numbers stored in the graph: weights, biases and what quantisation adds. */
  parameters: z.strictObject({ min: z.int().min(0), max: z.int().min(0), actual: z.int().min(0).optional() }),
  /** Every operator that the graph may use. */
  operators: z.array(z.string()).min(1),
})
export type Architecture = z.infer<typeof architecture>

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'must be sha256: and 64 hexadecimal digits')

/** An image with the uint8 pixels (lossless PNG) and the label that it must give; compared at every start. */
const reference = z.strictObject({
  image: fileName,
  imageSha256: z.string().optional(),
  tensor: fileName,
  /** Over the raw bytes, height by width by RGB. */
  tensorSha256: z.string().optional(),
  label: z.string(),
})
export type Reference = z.infer<typeof reference>

const accuracy = z.strictObject({
  top1: z.number().min(0).max(1),
  balanced: z.number().min(0).max(1).optional(),
  photos: z.int().min(1),
})

/** Of what comes and of what is predicted; serving/image-features.ts and models/training/features.py say how they are counted. */
export const PROFILE_FEATURES = [
  'brightness',
  'contrast',
  'saturation',
  'sharpness',
  'aspectRatio',
  'megapixels',
  'entropy',
] as const

/** How often a feature fell below each bound and beyond the last, on photos like the ones the model was trained for. */
const featureProfile = z
  .strictObject({ bounds: z.array(z.number()).min(1), counts: z.array(z.int().min(0)) })
  .refine(({ bounds, counts }) => counts.length === bounds.length + 1, 'needs one count more than bounds')
export type FeatureProfile = z.infer<typeof featureProfile>

const profile = z.strictObject({
  photos: z.int().min(1),
  features: z.partialRecord(z.enum(PROFILE_FEATURES), featureProfile),
  /** Predicted labels, in the order of `labels`. */
  labels: z.array(z.int().min(0)).optional(),
})
export type Profile = z.infer<typeof profile>

const name = z
  .string()
  .regex(/^[\w.-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, hyphens or underscores')

/** What every manifest says, whatever it describes. */
const common = {
  name,
  version: name,
  digest: digest.optional(),
  labels: z.array(z.string().min(1)).max(100_000).optional(),
  accuracy: z.record(z.string(), accuracy).optional(),
  /** Resident memory of all its processes; a version that takes more is ended and started again. */
  memoryLimitMiB: z.int().min(16).max(1_048_576).default(512),
  /** A part of its answers fails or is slowed on purpose, wherever it runs: a version to rehearse with. */
  drill: drill.optional(),
  trainedOn: z.unknown().optional(),
  licence: z.unknown().optional(),
}

const onnxManifest = z
  .strictObject({
    ...common,
    input: tensorSpec,
    output: tensorSpec,
    preprocessing,
    architecture: architecture.optional(),
    reference: reference.optional(),
    profile: profile.optional(),
  })
  .refine(({ preprocessing, labels }) => preprocessing.kind !== 'image' || (labels?.length ?? 0) > 0, {
    path: ['labels'],
    message: 'an image model needs its labels',
  })
/** Of an ONNX model, the usual form. */
export type ModelManifest = z.infer<typeof onnxManifest>

const route = z.string().regex(/^\/[^\s?#]*$/, 'must be a path, such as /predict')
/** Of a file of a version's folder. */
export const relativePath = z
  .string()
  .regex(/^(?!\.\.?(\/|$))[\w.-]+(\/(?!\.\.?(\/|$))[\w.-]+)*$/, 'must be a path below this folder')
const variableName = z.string().regex(/^[A-Za-z_]\w*$/, 'must be the name of an environment variable')

/** A server of the team's own. In arguments and values {port} is where it must listen on 127.0.0.1, {dir} this folder. */
const customServer = z.strictObject({
  command: z.array(z.string().min(1)).min(1).max(256),
  env: z.record(variableName, z.string()).default({}),
  routes: z.strictObject({
    /** GET: 2xx while the process is worth keeping. */
    live: route,
    /** GET: 2xx while it takes requests. */
    ready: route,
    /** POST: what /predict is passed on to. */
    predict: route,
  }),
  /** Ready within this time, or it is started again. */
  startSeconds: z.int().min(1).max(3600).default(60),
  /** The files beside model.json that make the version, with the sha256 of each: so the digest covers them. */
  files: z
    .array(
      z.strictObject({
        file: relativePath,
        sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits'),
      }),
    )
    .max(10_000),
})

const customManifest = z.strictObject({ ...common, server: customServer })
export type CustomManifest = z.infer<typeof customManifest>

/** A file beside model.json, with its sha256 where the manifest states it; the model itself is covered by the digest. */
export interface NamedFile {
  readonly file: string
  readonly sha256?: string | undefined
}

/** What makes the version together with model.json; nothing else of its folder belongs to it. */
export function namedFiles(manifest: ModelManifest | CustomManifest): readonly NamedFile[] {
  if ('server' in manifest) return manifest.server.files
  const { preprocessing, reference } = manifest
  const files: NamedFile[] = [{ file: 'model.onnx' }]
  if (preprocessing.kind === 'text')
    files.push({ file: preprocessing.tokenizer, sha256: preprocessing.tokenizerSha256 })
  if (reference)
    files.push({ file: reference.image, sha256: reference.imageSha256 }, { file: reference.tensor })
  return files
}

/**
 * Words of a command that may be files of the folder and are not listed as such. Where there is such a file, the command runs
 * what the digest does not cover and what could change unseen.
 */
export function unlistedWords({ server }: CustomManifest): readonly string[] {
  const listed = new Set(server.files.map(({ file }) => file))
  return server.command
    .map(word => word.replace(/^(\{dir\}|\.)\//, ''))
    .filter(word => !listed.has(word) && !word.startsWith('/') && !word.includes('..'))
    .filter(word => word !== '.' && word !== '{dir}')
}

/** Either form: where there is a `server` it is a command instead of a model. What is wrong is said of that form alone. */
export const modelManifest = z.looseObject({}).transform((json, context): ModelManifest | CustomManifest => {
  const parsed = 'server' in json ? customManifest.safeParse(json) : onnxManifest.safeParse(json)
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues) context.issues.push({ ...issue, input: json } as never)
  return z.NEVER
})
