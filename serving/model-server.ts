import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import { createAdmission, type Admission } from './admission.ts'
import { HELD_BODIES_BYTES } from './bodies.ts'
import { createDrift } from './drift.ts'
import { openInferencePool, type InferencePool } from './inference-pool.ts'
import { refusalReason } from './manifest.ts'
import { MemoryLimitExceeded, requireMemory, watchMemory } from './memory-limit.ts'
import { readModel } from './model.ts'
import type { ServeOptions } from './options.ts'
import { UNVERSIONED, type ServedModel } from './served-model.ts'
import { createServiceTime } from './service-time.ts'
import { createServingMetrics, type ServingMetrics } from './serving-metrics.ts'

/** Where a model server is in its life. It goes forward only: another model is another process. */
export type ServingState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready'; readonly model: ServedModel; readonly admission: Admission }
  /** It stays up to say why. */
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'draining'; readonly model: ServedModel | undefined }

export interface ModelServer {
  state(): ServingState
  readonly metrics: ServingMetrics
  /** Ends in the state ready or refused; never throws. */
  load(): Promise<void>
  /** From now on not ready; what is queued is still answered. */
  drain(): void
  /** To be called when nothing is queued any more. */
  close(): Promise<void>
}

export interface ModelServerOptions {
  readonly options: Pick<
    ServeOptions,
    'model' | 'workers' | 'threads' | 'max-batch' | 'max-delay-ms' | 'queue' | 'max-pixels'
  >
  readonly clock: Clock
  readonly log: Log
  /** Something broke that cannot be put back safely: an inference thread is gone, or the memory limit is passed. */
  readonly onBroken: (cause: Error) => void
}

export function createModelServer({ options, clock, log, onBroken }: ModelServerOptions): ModelServer {
  let state: ServingState = { kind: 'loading' }
  let pool: InferencePool | undefined
  let loading: Promise<void> | undefined
  let stopMemoryWatch = () => {}
  let memoryLimitMiB: number | undefined
  const metrics = createServingMetrics(() => (state.kind === 'ready' ? state.admission.depth() : 0))

  async function open(): Promise<InferencePool> {
    const files = await readModel(options.model)
    memoryLimitMiB = files.manifest?.memoryLimitMiB
    const settings = {
      model: files,
      threads: options.threads,
      maxBatch: options['max-batch'],
      maxPixels: options['max-pixels'],
    }
    const opened = await openInferencePool({
      settings,
      workers: options.workers,
      onLost: onBroken,
      mayGoOn: requireEnough,
    })
    const { model, sessionBytes, workers } = opened
    const profile = files.manifest?.profile
    metrics.setModel({
      name: model.name,
      version: model.version ?? UNVERSIONED,
      sessionBytes,
      workers,
      drift: profile && createDrift(profile),
    })
    return opened
  }

  async function requireEnough(): Promise<void> {
    if (memoryLimitMiB !== undefined) await requireMemory(memoryLimitMiB, clock)
  }

  async function limitMemory(): Promise<void> {
    await requireEnough()
    if (memoryLimitMiB !== undefined) stopMemoryWatch = watchMemory(memoryLimitMiB, onBroken)
  }

  function admit(opened: InferencePool): Admission {
    return createAdmission({
      pool: opened,
      serviceTime: createServiceTime(),
      clock,
      limits: {
        maxQueue: options.queue,
        maxHeldBytes: HELD_BODIES_BYTES,
        maxBatch: options['max-batch'],
        maxDelayMs: options['max-delay-ms'],
      },
      onQueued: metrics.observeQueue,
    })
  }

  async function load(): Promise<void> {
    const begun = clock.now()
    try {
      pool = await open()
      await limitMemory()
    } catch (error) {
      if (error instanceof MemoryLimitExceeded) return onBroken(error) // never ready: it is ended as if it had been
      state = { kind: 'refused', reason: refusalReason(error) }
      log.error({ err: error, model: options.model }, `not ready, and never will be: ${state.reason}`)
      return
    }
    const { model, workers } = pool
    if (state.kind !== 'loading') return // asked to stop in the meantime
    state = { kind: 'ready', model, admission: admit(pool) }
    const { name, version, digest } = model
    log.info(
      { model: name, version, digest, workers, threads: options.threads, ms: clock.now() - begun },
      'ready',
    )
  }

  return {
    state: () => state,
    metrics,
    load: () => (loading ??= load()),
    drain() {
      state = { kind: 'draining', model: pool?.model }
    },
    async close() {
      await loading // a thread that is ended while it opens its session takes the process with it
      stopMemoryWatch()
      await pool?.close()
    },
  }
}
