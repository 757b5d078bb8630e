import { WeirError, type ErrorCode } from '../contract/errors.ts'
import { createTurns } from '../lib/in-turn.ts'
import { normalisedEntropy, softmax, topClasses } from './class-scores.ts'
import { imageFeatures } from './image-features.ts'
import { createImageRows, type ImageRow, type ImageRowsOptions } from './image-rows.ts'
import { decodeImage, type DecodedImage } from './image.ts'
import type { DispatchedTask, Observation, StageTimes, Task, TaskResult } from './inference-messages.ts'
import { MAX_ROWS, type ModelRequest } from './model-request.ts'
import type { OnnxSession } from './onnx-session.ts'
import { readInferRequest } from './protocols/oip-v2-codec.ts'
import { readPredictRequest } from './protocols/predict-codec.ts'
import { readTextRequest } from './protocols/text-codec.ts'
import { readPredictV1 } from './protocols/tfs-v1-codec.ts'
import type { ServedModel } from './served-model.ts'
import { elementCount, type NamedTensor } from './tensor.ts'
import type { Tokenize } from './tokenizer.ts'

export interface TaskRunnerOptions {
  readonly session: OnnxSession
  readonly model: ServedModel
  readonly maxBatch: number
  readonly maxPixels: number
  /** Of a text model. */
  readonly tokenize?: Tokenize | undefined
}

export type RunTasks = (tasks: readonly DispatchedTask[]) => Promise<TaskResult[]>

/**
 * Reads, computes and answers tasks, one result each and in their order. Everything is read and checked before anything is
 * computed, so that a bad one fails alone; what is left of image models goes through the session in common batches.
 */
export function createTaskRunner(options: TaskRunnerOptions): RunTasks {
  const prepare = createPreparation(options)
  const compute = createComputation(options)
  const inTurn = createTurns()
  return async tasks => {
    const prepared = (await Promise.all(tasks.map(prepare))).map(unlessLate)
    const usable = prepared.filter(one => one.kind === 'prepared')
    // what the session throws fails these tasks and no more; uncaught it would take the thread, and with it the process
    const results = await inTurn(() => compute(usable)).catch((error: unknown) =>
      usable.map(({ decodeMs }) => failed(error, { ...NO_TIME, decodeMs })),
    )
    const answers = new Map(usable.map((one, index) => [one, results[index]]))
    return prepared.map(one => (one.kind === 'failed' ? one.result : (answers.get(one) ?? failed(NO_RESULT))))
  }
}

const NO_RESULT = new WeirError('internal', 'the task was not computed')

interface Prepared {
  readonly kind: 'prepared'
  readonly request: ModelRequest
  /** Rows for an image model; empty where the tensors go to the graph as they are. */
  readonly rows: readonly ImageRow[]
  readonly photos: readonly DecodedImage[]
  readonly deadlineAt: number | undefined
  readonly decodeMs: number
}

type Preparation = Prepared | { readonly kind: 'failed'; readonly result: TaskResult }

function createPreparation({ model, maxPixels, tokenize }: TaskRunnerOptions) {
  const inTurn = createTurns()

  async function prepare({ task, deadlineAt }: DispatchedTask): Promise<Preparation> {
    const begun = performance.now()
    try {
      if (isLate(deadlineAt)) throw tooLate()
      const request = await readTask(task, model, tokenize)
      const { rows, photos } = await rowsOf(request)
      return { kind: 'prepared', request, rows, photos, deadlineAt, decodeMs: performance.now() - begun }
    } catch (error) {
      return { kind: 'failed', result: failed(error, { ...NO_TIME, decodeMs: performance.now() - begun }) }
    }
  }

  async function rowsOf({ instances }: ModelRequest): Promise<Pick<Prepared, 'rows' | 'photos'>> {
    const { preprocessing } = model
    if (preprocessing.kind !== 'image') return { rows: [], photos: [] }
    if (instances.kind === 'tensors') return { rows: valueRows(instances.tensors), photos: [] }
    const photos: DecodedImage[] = []
    for (const image of instances.images) {
      photos.push(await decodeImage(image, preprocessing, { maxPixels, inTurn }))
    }
    return { rows: photos.map(({ pixels }) => ({ kind: 'pixels', pixels })), photos }
  }

  return prepare
}

/** A large photo takes longer to decode than to compute; by now its client may have given up. */
function unlessLate(one: Preparation): Preparation {
  if (one.kind === 'failed' || !isLate(one.deadlineAt)) return one
  return { kind: 'failed', result: failed(tooLate(), { ...NO_TIME, decodeMs: one.decodeMs }) }
}

function isLate(deadlineAt: number | undefined): boolean {
  return deadlineAt !== undefined && Date.now() > deadlineAt
}

function tooLate(): WeirError {
  return new WeirError('deadline_exceeded', 'the time that the client gave had passed')
}

async function readTask(
  task: Task,
  model: ServedModel,
  tokenize: Tokenize | undefined,
): Promise<ModelRequest> {
  const { preprocessing } = model
  switch (task.protocol) {
    case 'predict':
      if (preprocessing.kind === 'text' && tokenize) {
        return readTextRequest(task.body, { model, preprocessing, tokenize })
      }
      return readPredictRequest(task.contentType, task.body, model)
    case 'oip-v2':
      return readInferRequest(task.body, task.headerBytes, model)
    case 'tfs-v1':
      return readPredictV1(task.body, model)
  }
}

function valueRows([tensor]: readonly NamedTensor[]): ImageRow[] {
  if (!(tensor?.data instanceof Float32Array))
    throw new WeirError('bad_request', 'an image model takes one FP32 input')
  const { data, shape } = tensor
  const [rowCount = 0, ...rest] = shape
  if (rowCount < 1 || rowCount > MAX_ROWS) throw new WeirError('bad_request', `1 to ${MAX_ROWS} rows at once`)
  const size = elementCount(rest)
  return Array.from({ length: rowCount }, (_, row) => ({
    kind: 'values',
    values: data.subarray(row * size, (row + 1) * size),
  }))
}

function createComputation({ session, model, maxBatch }: TaskRunnerOptions) {
  const { preprocessing } = model
  return preprocessing.kind === 'image'
    ? imageComputation(model, { session, preprocessing, maxBatch, ...namesOf(model) })
    : tensorComputation(session)
}

function namesOf({ inputs, outputs }: ServedModel): { input: string; output: string } {
  return { input: inputs[0]?.name ?? '', output: outputs[0]?.name ?? '' }
}

function imageComputation(model: ServedModel, options: ImageRowsOptions) {
  const infer = createImageRows(options)
  const side = options.preprocessing.centreCrop
  return async (tasks: readonly Prepared[]): Promise<TaskResult[]> => {
    if (tasks.length === 0) return []
    const all = tasks.flatMap(({ rows }) => rows)
    const { logits, classes, preprocessMs, inferMs } = await infer(all)
    let row = 0
    return tasks.map(task => {
      const own = logits.subarray(row * classes, (row + task.rows.length) * classes)
      row += task.rows.length
      const share = task.rows.length / all.length
      const stages = { decodeMs: task.decodeMs, preprocessMs: preprocessMs * share, inferMs: inferMs * share }
      const output = {
        name: options.output,
        type: 'float32',
        shape: [task.rows.length, classes],
        data: own,
      } as const
      return answered(task, {
        outputs: [output],
        stages,
        observe: () => observations(task.photos, own, side),
      })
    })
  }

  function observations(photos: readonly DecodedImage[], logits: Float32Array, side: number): Observation[] {
    const classes = model.labels.length
    return photos.map((photo, row) => {
      const probabilities = softmax(logits.subarray(row * classes, (row + 1) * classes))
      const label = topClasses(probabilities, 1)[0]?.index ?? 0
      return { features: imageFeatures(photo, side), label, entropy: normalisedEntropy(probabilities) }
    })
  }
}

/** Each task in a run of its own: what a dimension of these graphs means is not ours to know. */
function tensorComputation(session: OnnxSession) {
  return async (tasks: readonly Prepared[]): Promise<TaskResult[]> => {
    const results: TaskResult[] = []
    for (const task of tasks) results.push(await runAlone(task))
    return results
  }

  async function runAlone(task: Prepared): Promise<TaskResult> {
    const { instances } = task.request
    const begun = performance.now()
    try {
      const outputs = await session.run(instances.kind === 'tensors' ? instances.tensors : [])
      const stages = { ...NO_TIME, decodeMs: task.decodeMs, inferMs: performance.now() - begun }
      return answered(task, { outputs, stages, observe: () => [] })
    } catch (cause) {
      // the shapes fitted, so it is the values: an index out of range, or lengths that do not go together
      return failed(new WeirError('bad_request', 'the model cannot compute these values', { cause }))
    }
  }
}

interface Computed {
  readonly outputs: readonly NamedTensor[]
  readonly stages: StageTimes
  readonly observe: () => readonly Observation[]
}

function answered(task: Prepared, { outputs, stages, observe }: Computed): TaskResult {
  try {
    return { ok: true, answer: task.request.answer(outputs), stages, observations: observe() }
  } catch (error) {
    return failed(error, stages)
  }
}

const NO_TIME: StageTimes = { decodeMs: 0, preprocessMs: 0, inferMs: 0 }

function failed(error: unknown, stages: StageTimes = NO_TIME): TaskResult {
  const { code, message } = describeFailure(error)
  return { ok: false, code, message, stages }
}

function describeFailure(error: unknown): { code: ErrorCode; message: string } {
  if (error instanceof WeirError) return { code: error.code, message: error.message }
  return {
    code: 'internal',
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
  }
}
