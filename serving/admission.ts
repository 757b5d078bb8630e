import { WeirError } from '../contract/errors.ts'
import type { Clock } from '../lib/clock.ts'
import type { DispatchedTask, Task, TaskResult } from './inference-messages.ts'
import type { InferencePool } from './inference-pool.ts'
import type { ServiceTime } from './service-time.ts'

export interface AdmissionLimits {
  readonly maxQueue: number
  /** Of all bodies that wait or are computed. */
  readonly maxHeldBytes: number
  /** Tasks in one dispatch; 1 turns batching off. */
  readonly maxBatch: number
  /** How long a first task waits for others to share its batch. */
  readonly maxDelayMs: number
}

export interface AdmissionOptions {
  readonly pool: Pick<InferencePool, 'free' | 'dispatch' | 'workers'>
  readonly serviceTime: ServiceTime
  readonly clock: Clock
  readonly limits: AdmissionLimits
  readonly onQueued?: (queueMs: number) => void
}

export interface Submission {
  readonly task: Task
  /** Milliseconds since the epoch. */
  readonly deadlineAt?: number | undefined
  /** Aborts when the client is gone. */
  readonly signal?: AbortSignal | undefined
}

export interface Admission {
  /** Throws `overloaded`, `deadline_exceeded` or `client_closed_request` for what is not computed. */
  submit(submission: Submission): Promise<TaskResult>
  depth(): number
}

interface Waiting extends Submission {
  readonly enqueuedAt: number
  /** Of its body, which is moved to the thread and empty here afterwards. */
  readonly bytes: number
  readonly costMs: number
  readonly resolve: (result: TaskResult) => void
  readonly reject: (error: unknown) => void
}

/**
 * The one queue in front of the inference threads. It is short: what would wait longer than its client does is refused at
 * once, and what nobody waits for any more is thrown away before it costs anything.
 */
export function createAdmission(options: AdmissionOptions): Admission {
  const { pool, serviceTime, clock, limits, onQueued } = options
  const queue: Waiting[] = []
  let heldBytes = 0
  let runningCostMs = 0
  let batchTimer: NodeJS.Timeout | undefined

  const waitMs = () => (queue.reduce((sum, { costMs }) => sum + costMs, 0) + runningCostMs) / pool.workers

  function refuseUnlessMet(bodyBytes: number, costMs: number, deadlineAt: number | undefined): void {
    const retryAfterSeconds = Math.max(1, waitMs() / 1000)
    if (queue.length >= limits.maxQueue || heldBytes + bodyBytes > limits.maxHeldBytes) {
      throw new WeirError('overloaded', 'the queue is full', {
        retryAfterSeconds,
        details: { reason: 'queue_full' },
      })
    }
    if (deadlineAt === undefined) return
    const now = clock.now()
    if (now >= deadlineAt) throw expired()
    // an idle server computes what it is given: its estimate may be wrong, and nobody else is kept waiting
    if (pool.free() === 0 && now + waitMs() + costMs > deadlineAt) {
      const details = { reason: 'deadline' }
      throw new WeirError('overloaded', 'the answer would come too late', { retryAfterSeconds, details })
    }
  }

  function take(): Waiting[] {
    const taken: Waiting[] = []
    while (taken.length < limits.maxBatch) {
      const next = queue.shift()
      if (!next) break
      const pointless = pointlessness(next, clock.now())
      if (pointless) drop(next, pointless)
      else taken.push(next)
    }
    return taken
  }

  function drop({ bytes, reject }: Waiting, why: WeirError): void {
    heldBytes -= bytes
    reject(why)
  }

  /** Of a client that has gone: those who stay get its place at once. */
  function leave(waiting: Waiting): void {
    const at = queue.indexOf(waiting)
    if (at === -1) return
    queue.splice(at, 1)
    drop(waiting, gone())
  }

  function pump(): void {
    while (pool.free() > 0 && queue.length > 0) {
      if (mustWaitForMore()) return
      const taken = take()
      if (taken.length > 0) run(taken)
    }
  }

  function mustWaitForMore(): boolean {
    const [first] = queue
    if (!first || queue.length >= limits.maxBatch || limits.maxDelayMs === 0) return false
    const leftMs = first.enqueuedAt + limits.maxDelayMs - clock.now()
    if (leftMs <= 0) return false
    batchTimer ??= setTimeout(() => {
      batchTimer = undefined
      pump()
    }, leftMs)
    return true
  }

  function run(taken: readonly Waiting[]): void {
    const costMs = taken.reduce((sum, one) => sum + one.costMs, 0)
    runningCostMs += costMs
    for (const { enqueuedAt } of taken) onQueued?.(clock.now() - enqueuedAt)
    pool
      .dispatch(taken.map(({ task, deadlineAt }): DispatchedTask => ({ task, deadlineAt })))
      .then(results => settle(taken, results))
      .catch((error: unknown) => {
        for (const { reject } of taken) reject(error)
      })
      .finally(() => {
        runningCostMs -= costMs
        for (const { bytes } of taken) heldBytes -= bytes
        pump()
      })
  }

  function settle(taken: readonly Waiting[], results: readonly TaskResult[]): void {
    for (const [index, waiting] of taken.entries()) {
      const result = results[index]
      if (!result) throw new Error('an inference thread answered fewer tasks than it was given')
      serviceTime.observe(result.stages, waiting.bytes)
      waiting.resolve(result)
    }
  }

  return {
    submit: submission =>
      new Promise((resolve, reject) => {
        const { byteLength: bytes } = submission.task.body
        const costMs = serviceTime.estimateMs(bytes)
        refuseUnlessMet(bytes, costMs, submission.deadlineAt)
        const waiting = { ...submission, enqueuedAt: clock.now(), bytes, costMs, resolve, reject }
        queue.push(waiting)
        heldBytes += bytes
        submission.signal?.addEventListener('abort', () => leave(waiting), { once: true })
        pump()
      }),
    depth: () => queue.length,
  }
}

function pointlessness({ signal, deadlineAt }: Submission, now: number): WeirError | undefined {
  if (signal?.aborted) return gone()
  return deadlineAt !== undefined && now >= deadlineAt ? expired() : undefined
}

function gone(): WeirError {
  return new WeirError('client_closed_request', 'the client went away before its turn came')
}

function expired(): WeirError {
  return new WeirError('deadline_exceeded', 'the time that the client gave has passed')
}
