import { Worker } from 'node:worker_threads'
import { WeirError } from '../contract/errors.ts'
import { COMPILE_CACHE } from '../lib/compile-cache.ts'
import type {
  DispatchedTask,
  FromWorker,
  TaskResult,
  ToWorker,
  WorkerSettings,
} from './inference-messages.ts'
import { ModelRefused } from './manifest.ts'
import type { ServedModel } from './served-model.ts'
// Not used on this thread, but on glibc a native library that several threads load must have been loaded by the main one:
// https://sharp.pixelplumbing.com/install/#worker-threads
import 'sharp'

// ONNX Runtime from 1.29 on writes a device id and a database of events into the home folder, a file into /tmp, and uploads
// what it wrote. It reads this when its first session opens, from the environment of the process and not of the thread:
// https://github.com/microsoft/onnxruntime/pull/27379
process.env['ORT_DISABLE_TELEMETRY'] = '1'

export interface InferencePool {
  readonly model: ServedModel
  readonly workers: number
  /** What a session and its first runs added to the resident memory. */
  readonly sessionBytes: number
  /** How many dispatches would be taken right now. */
  free(): number
  dispatch(tasks: readonly DispatchedTask[]): Promise<readonly TaskResult[]>
  /** Waits for what is being computed, frees the sessions and ends the threads. */
  close(): Promise<void>
}

export interface InferencePoolOptions {
  readonly settings: WorkerSettings
  readonly workers: number
  /** A thread ended on its own: out of memory, or a bug. What it held has been rejected with `not_ready`. */
  readonly onLost: (cause: Error) => void
  /** Asked when the first thread has loaded; where it rejects, no other one is opened. */
  readonly mayGoOn?: () => Promise<void>
}

/** While a thread computes one dispatch the photos of the next are decoded, so that it never waits for the HTTP thread. */
const DISPATCHES_PER_WORKER = 2
/** Requests leave almost nothing that lives long; a larger young generation only adds resident memory. */
const YOUNG_GENERATION_MB = 4

/**
 * The first thread loads alone: it finds out whether the model is served at all, and what a session costs in memory.
 * Throws ModelRefused.
 */
export async function openInferencePool(options: InferencePoolOptions): Promise<InferencePool> {
  const first = await loadThread(options.settings)
  await options.mayGoOn?.().catch(async (error: unknown) => {
    await createPool([first], options.onLost).close()
    throw error
  })
  const others = Array.from({ length: options.workers - 1 }, () => loadThread(options.settings))
  return createPool([first, ...(await Promise.all(others))], options.onLost)
}

/** Apart from the loading, so that nothing that lives on holds the model's bytes. */
function createPool(
  loaded: readonly [LoadedThread, ...LoadedThread[]],
  onLost: (cause: Error) => void,
): InferencePool {
  const threads = loaded.map(thread => superviseThread(thread.worker, onLost))
  /** When all are lost, one of those: it refuses what it is given, and nothing waits for ever. */
  const usable = () => {
    const alive = threads.filter(thread => !thread.lost())
    return alive.length > 0 ? alive : threads
  }
  const freest = () =>
    usable().reduce((best, thread) => (thread.inFlight() < best.inFlight() ? thread : best))
  const [{ model, sessionBytes }] = loaded
  return {
    model,
    sessionBytes,
    workers: threads.length,
    free: () => usable().reduce((sum, thread) => sum + DISPATCHES_PER_WORKER - thread.inFlight(), 0),
    dispatch: tasks => freest().dispatch(tasks),
    close: async () => void (await Promise.all(threads.map(thread => thread.close()))),
  }
}

interface Waiting {
  readonly resolve: (results: readonly TaskResult[]) => void
  readonly reject: (error: Error) => void
}

async function loadThread(settings: WorkerSettings): Promise<LoadedThread> {
  const worker = new Worker(new URL('./inference-worker.ts', import.meta.url), {
    name: 'inference',
    env: { ...process.env, ...COMPILE_CACHE },
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  })
  send(worker, { type: 'load', settings })
  return { worker, ...(await loaded(worker)) }
}

interface LoadedThread {
  readonly worker: Worker
  readonly model: ServedModel
  readonly sessionBytes: number
}

function superviseThread(worker: Worker, onLost: (cause: Error) => void) {
  const waiting = new Map<number, Waiting>()
  const ended = new Promise<void>(resolve => worker.once('exit', () => resolve()))
  let nextId = 0
  let closing = false

  worker.on('message', (message: FromWorker) => {
    if (message.type !== 'done') return
    waiting.get(message.id)?.resolve(message.results)
    waiting.delete(message.id)
  })
  let lost = false
  const lose = (cause: Error) => {
    if (lost || closing) return
    lost = true
    for (const { reject } of waiting.values()) reject(lostError(cause))
    waiting.clear()
    onLost(cause)
  }
  worker.on('error', lose)
  worker.on('exit', code => lose(new Error(`an inference thread ended with code ${code}`)))

  return {
    inFlight: () => waiting.size,
    lost: () => lost,
    dispatch: (tasks: readonly DispatchedTask[]) =>
      new Promise<readonly TaskResult[]>((resolve, reject) => {
        if (lost) return reject(lostError())
        const id = nextId++
        waiting.set(id, { resolve, reject })
        send(worker, { type: 'run', id, tasks: tasks.map(ownBody) })
      }),
    close: async () => {
      closing = true
      send(worker, { type: 'close' })
      await ended
    },
  }
}

function lostError(cause?: Error): WeirError {
  const message = 'the inference thread of this request is lost, and this server is stopping'
  return new WeirError('not_ready', message, { cause, retryAfterSeconds: 1 })
}

async function loaded(worker: Worker): Promise<{ model: ServedModel; sessionBytes: number }> {
  const message = await new Promise<FromWorker>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', code =>
      reject(new Error(`an inference thread ended with code ${code} while loading`)),
    )
  })
  if (message.type === 'loaded') return message
  throw new ModelRefused(message.type === 'refused' ? message.reason : 'the model did not load')
}

/** Moves what owns its memory instead of copying it. */
function send(worker: Worker, message: ToWorker): void {
  const bodies =
    message.type === 'run' ? message.tasks.map(({ task }) => task.body.buffer as ArrayBuffer) : []
  worker.postMessage(message, bodies)
}

/** Small buffers are views of a pool that Node shares among them; moving that would empty the others. */
function ownBody(dispatched: DispatchedTask): DispatchedTask {
  const { body } = dispatched.task
  if (body.byteLength === body.buffer.byteLength) return dispatched
  return { ...dispatched, task: { ...dispatched.task, body: Uint8Array.from(body) } }
}
