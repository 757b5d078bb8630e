import { WeirError } from '../contract/errors.ts'
import type { Clock } from '../lib/clock.ts'
import type { DispatchedTask, Task, TaskResult } from './inference-messages.ts'
import type { InferencePool } from './inference-pool.ts'
import type { ServiceTime } from './service-time.ts'

export interface AdmissionLimits {
  readonly maxQueue: number
  readonly maxQueueBytes: number
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
  let queuedBytes = 0
  let runningCostMs = 0
  let batchTimer: NodeJS.Timeout | undefined

  const waitMs = () => (queue.reduce((sum, { costMs }) => sum + costMs, 0) + runningCostMs) / pool.workers

  function refuseUnlessMet(bodyBytes: number, costMs: number, deadlineAt: number | undefined): void {
    const retryAfterSeconds = Math.max(1, waitMs() / 1000)
    if (queue.length >= limits.maxQueue || queuedBytes + bodyBytes > limits.maxQueueBytes) {
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
      queuedBytes -= next.task.body.byteLength
      const pointless = pointlessness(next, clock.now())
      if (pointless) next.reject(pointless)
      else taken.push(next)
    }
    return taken
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
    const sizes = taken.map(({ task }) => task.body.byteLength) // the bodies are moved to the thread, and empty here afterwards
    runningCostMs += costMs
    for (const { enqueuedAt } of taken) onQueued?.(clock.now() - enqueuedAt)
    pool
      .dispatch(taken.map(({ task, deadlineAt }): DispatchedTask => ({ task, deadlineAt })))
      .then(results => settle(taken, results, sizes))
      .catch((error: unknown) => {
        for (const { reject } of taken) reject(error)
      })
      .finally(() => {
        runningCostMs -= costMs
        pump()
      })
  }

  function settle(taken: readonly Waiting[], results: readonly TaskResult[], sizes: readonly number[]): void {
    for (const [index, waiting] of taken.entries()) {
      const result = results[index]
      if (!result) throw new Error('an inference thread answered fewer tasks than it was given')
      serviceTime.observe(result.stages, sizes[index] ?? 0)
      waiting.resolve(result)
    }
  }

  return {
    submit: submission =>
      new Promise((resolve, reject) => {
        const { byteLength } = submission.task.body
        const costMs = serviceTime.estimateMs(byteLength)
        refuseUnlessMet(byteLength, costMs, submission.deadlineAt)
        queue.push({ ...submission, enqueuedAt: clock.now(), costMs, resolve, reject })
        queuedBytes += byteLength
        pump()
      }),
    depth: () => queue.length,
  }
}

function pointlessness({ signal, deadlineAt }: Submission, now: number): WeirError | undefined {
  if (signal?.aborted)
    return new WeirError('client_closed_request', 'the client went away before its turn came')
  return deadlineAt !== undefined && now >= deadlineAt ? expired() : undefined
}

function expired(): WeirError {
  return new WeirError('deadline_exceeded', 'the time that the client gave has passed')
}
