import { join } from 'node:path'
import { z } from 'zod'
import { createServingClient } from '../../../client/serving.ts'
import { datatypeOf } from '../../../contract/datatype.ts'
import { WeirError } from '../../../contract/errors.ts'
import type { GateEvidence, IntegrationSettings } from '../../../contract/gate.ts'
import type { ModelManifest, TensorSpec } from '../../../contract/model-manifest.ts'
import { prediction } from '../../../contract/prediction.ts'
import type { Clock } from '../../../lib/clock.ts'
import { createGate, type Gate, type GateSubject, type Measured } from './gate.ts'
import { findLabelledPhotos } from './labelled-photos.ts'
import { askAgain, photoRequest, type ServingAnswer } from './serving-request.ts'

type Evidence = Extract<GateEvidence, { gate: 'integration' }>
type LabelAnswer = Evidence['answers'][number]

/** Whether it is what its manifest declares: ready, of these shapes, and with answers among these labels. */
export function createIntegrationGate(settings: IntegrationSettings, clock: Clock): Gate {
  return createGate('integration', clock, async (subject, signal) => {
    const looks = await Promise.all(
      subject.endpoints.map(endpoint => lookAt(endpoint, subject, { ...settings, signal })),
    )
    return judgeIntegration(subject.manifest, {
      gate: 'integration',
      answers: looks.flatMap(({ answers }) => answers),
      inputs: looks[0]?.inputs ?? [],
      outputs: looks[0]?.outputs ?? [],
      problems: looks.flatMap(({ problems }) => problems),
    })
  })
}

interface Looking extends IntegrationSettings {
  readonly signal: AbortSignal
}

async function lookAt(
  endpoint: string,
  subject: GateSubject,
  looking: Looking,
): Promise<Omit<Evidence, 'gate'>> {
  const { manifest } = subject
  const readiness = await createServingClient({ baseUrl: endpoint }).ready()
  if (readiness.state !== 'ready') {
    const problem = `/readyz of ${endpoint}: ${readiness.reason}`
    return { answers: [], inputs: [], outputs: [], problems: [problem] }
  }
  const shapes =
    'server' in manifest ? NO_SHAPES : await readShapes(endpoint, subject.model, manifest, looking.signal)
  const asked = [
    ...(await askReference(endpoint, subject, looking.signal)),
    ...(await askTests(endpoint, subject, looking)),
  ]
  if (asked.length === 0 && needsPhoto(manifest))
    asked.push(...(await askSample(endpoint, subject, looking.signal)))
  return {
    ...shapes,
    answers: asked.flatMap(({ answer }) => (answer ? [answer] : [])),
    problems: [
      ...shapes.problems,
      ...asked.flatMap(({ problem }) => (problem === undefined ? [] : [problem])),
    ],
  }
}

interface Asked {
  readonly answer?: LabelAnswer
  readonly problem?: string
}

const NO_SHAPES = { inputs: [], outputs: [], problems: [] }

const tensor = z.object({ name: z.string(), datatype: z.string(), shape: z.array(z.number()) })
const metadata = z.object({ inputs: z.array(tensor), outputs: z.array(tensor) })

/** As the protocol's metadata tells them. */
async function readShapes(endpoint: string, model: string, manifest: ModelManifest, signal: AbortSignal) {
  const path = `/v2/models/${encodeURIComponent(model)}`
  const { status, body } = await askAgain(endpoint, { method: 'GET', path }, signal)
  const parsed = metadata.safeParse(body)
  if (status !== 200 || !parsed.success)
    return { ...NO_SHAPES, problems: [`${path} answered ${status}, and no metadata of a model`] }
  const { inputs, outputs } = parsed.data
  const problems = [
    ...tensorProblems('input', manifest.input, inputs),
    ...tensorProblems('output', manifest.output, outputs),
  ]
  return { inputs: specsOf(inputs, manifest), outputs: specsOf(outputs, manifest), problems }
}

type Tensor = z.infer<typeof tensor>

function tensorProblems(role: string, declared: TensorSpec, told: readonly Tensor[]): string[] {
  const found = told.find(({ name }) => name === declared.name)
  if (found === undefined) return [`it has no ${role} "${declared.name}"`]
  const expected = `${datatypeOf(declared.type)} [${declared.shape.join(', ')}]`
  const actual = `${found.datatype} [${found.shape.join(', ')}]`
  return expected === actual ? [] : [`${role} "${declared.name}" is ${actual}, the manifest says ${expected}`]
}

/** Only what the manifest names has a type of ours. */
function specsOf(told: readonly Tensor[], { input, output }: ModelManifest): TensorSpec[] {
  return [input, output].flatMap(declared =>
    told
      .filter(({ name }) => name === declared.name)
      .map(({ name, shape }) => ({ name, type: declared.type, shape })),
  )
}

async function askReference(
  endpoint: string,
  { folder, manifest }: GateSubject,
  signal: AbortSignal,
): Promise<Asked[]> {
  const reference = 'server' in manifest ? undefined : manifest.reference
  if (reference === undefined) return []
  const { image, label } = reference
  const answer = await askAgain(endpoint, await photoRequest(join(folder, image)), signal)
  return [checkPrediction(answer, { what: image, labels: manifest.labels, expected: label })]
}

/** For a version that has neither a reference image nor samples beside it; what it says of one of the model's need not be right. */
async function askSample(
  endpoint: string,
  { samples, manifest: { labels } }: GateSubject,
  signal: AbortSignal,
): Promise<Asked[]> {
  const photos = await findLabelledPhotos(samples, labels ?? []).catch((error: unknown) => {
    if (error instanceof WeirError && error.code === 'not_found') return []
    throw error
  })
  const [photo] = photos
  if (photo === undefined) return []
  const answer = await askAgain(endpoint, await photoRequest(photo.path), signal)
  return [checkPrediction(answer, { what: photo.file, labels, expected: null })]
}

interface Expected {
  readonly what: string
  readonly labels: readonly string[] | undefined
  /** Null: any label will do. */
  readonly expected: string | null
}

function checkPrediction({ status, body }: ServingAnswer, { what, labels, expected }: Expected): Asked {
  const parsed = prediction.safeParse(body)
  if (status !== 200 || !parsed.success) return { problem: `${what}: answered ${status}, and no prediction` }
  const { label, class_index: index, top_k: top } = parsed.data
  const answer = { what, label, expected }
  if (labels && labels[index] !== label)
    return {
      answer,
      problem: `${what}: class ${index} is "${labels[index]}" in the manifest, not "${label}"`,
    }
  const stranger = labels && top.find(ranked => !labels.includes(ranked.label))
  if (stranger) return { answer, problem: `${what}: "${stranger.label}" is no label of the manifest` }
  if (expected !== null && label !== expected)
    return { answer, problem: `${what}: must be "${expected}", it says "${label}"` }
  return { answer }
}

const testAnswer = z.object({
  label: z.string(),
  image: z.string(),
  expected: z.string(),
  model: z.string(),
  model_version: z.string(),
})

async function askTests(
  endpoint: string,
  subject: GateSubject,
  { tests, signal }: Looking,
): Promise<Asked[]> {
  const asked: Asked[] = []
  for (let turn = 0; turn < tests; turn++) {
    const answer = await askAgain(endpoint, { method: 'GET', path: '/test' }, signal)
    if (answer.status === 404) return asked // no sample photos: the reference image has to do
    asked.push(checkTest(answer, subject))
  }
  return asked
}

function checkTest({ status, body }: ServingAnswer, { manifest, model, version }: GateSubject): Asked {
  const parsed = testAnswer.safeParse(body)
  if (status !== 200 || !parsed.success)
    return { problem: `/test answered ${status}, and no label of a sample` }
  const { label, image, expected, ...by } = parsed.data
  const answer = { what: `/test ${image}`, label, expected }
  if (manifest.labels && !manifest.labels.includes(label))
    return { answer, problem: `/test ${image}: "${label}" is no label of the manifest` }
  if (by.model !== model || by.model_version !== version)
    return { answer, problem: `/test is answered by version ${by.model_version} of ${by.model}` }
  return { answer }
}

function judgeIntegration(manifest: GateSubject['manifest'], evidence: Evidence): Measured {
  const { answers, problems } = evidence
  if (problems.length > 0)
    return {
      verdict: 'fail',
      reason: `the declared contract does not hold: ${problems.join('; ')}`,
      evidence,
    }
  if (needsPhoto(manifest) && answers.length === 0)
    return {
      verdict: 'error',
      reason: 'it has neither a sample photo nor a reference image to be asked for',
      evidence,
    }
  const among = manifest.labels ? ` of the manifest's ${manifest.labels.length} labels` : ''
  return {
    verdict: 'pass',
    reason: `${answers.length} photos gave one${among}, shapes are as declared`,
    evidence,
  }
}

function needsPhoto(manifest: GateSubject['manifest']): boolean {
  return 'server' in manifest || manifest.preprocessing.kind === 'image'
}
