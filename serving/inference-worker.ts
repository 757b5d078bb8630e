import { parentPort, type MessagePort } from 'node:worker_threads'
import { batchProblems, contractProblems } from './model-contract.ts'
import { ModelRefused, refusalReason } from './manifest.ts'
import type { ModelFiles } from './model.ts'
import { describeModel, type ServedModel } from './served-model.ts'
import { openSession, type OnnxSession } from './onnx-session.ts'
import { checkReferenceLabel, checkReferencePixels } from './reference-check.ts'
import { createTaskRunner, type RunTasks } from './task-runner.ts'
import type { FromWorker, ToWorker, WorkerSettings } from './inference-messages.ts'
import { dataOfValues, elementCount } from './tensor.ts'
import type { Tokenize } from './tokenizer.ts'

// An inference thread: one session of its own, loaded once and never replaced, since sessions leak when they are
// (https://github.com/microsoft/onnxruntime/issues/25325). It ends by closing its port, never by being terminated.

const WARM_UP_RUNS = 2

async function load(settings: WorkerSettings) {
  const residentBefore = process.memoryUsage.rss()
  const session = await openSession(settings.model.bytes, settings.threads)
  try {
    const { model, run } = await accept(session, settings)
    return { session, run, model, sessionBytes: process.memoryUsage.rss() - residentBefore }
  } catch (error) {
    await session.release() // a thread with an open session never ends
    throw error
  }
}

/** Throws ModelRefused when the session is not what the manifest promises. */
async function accept(session: OnnxSession, { model: files, maxBatch, maxPixels }: WorkerSettings) {
  checkContract(files, session, maxBatch)
  const model = describeModel(files.name, files.manifest, session)
  const run = createTaskRunner({ session, model, maxBatch, maxPixels, tokenize: await tokenizeOf(files) })
  for (let times = 0; times < WARM_UP_RUNS; times++) await warmUp({ files, session, model, run })
  return { model, run }
}

/** The library is loaded only where it is needed. */
async function tokenizeOf({ manifest, tokenizer }: ModelFiles): Promise<Tokenize | undefined> {
  if (manifest?.preprocessing.kind !== 'text') return undefined
  const { createTokenize } = await import('./tokenizer.ts')
  return createTokenize(tokenizer, manifest.preprocessing.maxTokens)
}

function checkContract({ manifest, facts }: ModelFiles, session: OnnxSession, maxBatch: number): void {
  const problems = manifest
    ? [...contractProblems(manifest, session, facts), ...batchProblems(manifest, session, maxBatch)]
    : []
  if (problems.length > 0)
    throw new ModelRefused(`the model does not fit its manifest: ${problems.join('; ')}`)
}

interface WarmUp {
  readonly files: ModelFiles
  readonly session: OnnxSession
  readonly model: ServedModel
  readonly run: RunTasks
}

/** The first run allocates and is slow. It goes through all that a request goes through, where there is a reference image. */
async function warmUp({ files, session, model, run }: WarmUp): Promise<void> {
  const { reference } = files
  if (!reference || model.preprocessing.kind !== 'image') return runOnNothing(session)
  await checkReferencePixels(reference, model.preprocessing)
  const [result] = await run([
    { task: { protocol: 'predict', contentType: 'image/*', body: reference.image }, deadlineAt: undefined },
  ])
  if (!result?.ok) throw new ModelRefused(`the reference image gives no prediction: ${result?.message ?? ''}`)
  const { label } = JSON.parse(String(result.answer.body)) as { label: string }
  checkReferenceLabel(reference, label)
}

/** Ones of the smallest shape. A graph may need other values than these; then its first request warms it up. */
async function runOnNothing(session: OnnxSession): Promise<void> {
  const inputs = session.inputs.map(({ name, type, shape }) => {
    const smallest = shape.map(dimension => Math.max(1, dimension))
    const ones = Array.from({ length: elementCount(smallest) }, () => (type === 'string' ? '' : 1))
    return { name, type, shape: smallest, data: dataOfValues(type, ones) }
  })
  await session.run(inputs).catch(() => undefined)
}

async function serve(port: MessagePort): Promise<void> {
  const say = (message: FromWorker) => port.postMessage(message)
  const loaded = await loadFirst(port).catch((error: unknown) => {
    say({ type: 'refused', reason: refusalReason(error) })
  })
  if (!loaded) return port.close()
  const { session, run, model, sessionBytes } = loaded
  const running = new Set<Promise<void>>()
  port.on('message', (message: ToWorker) => {
    if (message.type === 'close') {
      void Promise.all(running)
        .then(() => session.release())
        .finally(() => port.close())
    } else if (message.type === 'run') {
      const { id, tasks } = message
      const answered = run(tasks).then(results => say({ type: 'done', id, results }))
      running.add(answered)
      void answered.finally(() => running.delete(answered))
    }
  })
  say({ type: 'loaded', model, sessionBytes })
}

/** The model comes as a message and not as workerData, which would keep its bytes for as long as the thread lives. */
async function loadFirst(port: MessagePort) {
  const message = await new Promise<ToWorker>(resolve => port.once('message', resolve))
  if (message.type !== 'load') throw new Error(`the first message was ${message.type}`)
  return load(message.settings)
}

if (parentPort) await serve(parentPort)
