import type { FastifyReply, FastifyRequest } from 'fastify'
import { WeirError } from '../contract/errors.ts'
import type { Clock } from '../lib/clock.ts'
import type { Task, TaskResult, WireAnswer } from './inference-messages.ts'
import type { ModelServer, ServingState } from './model-server.ts'
import type { ServedModel } from './served-model.ts'
import type { Outcome, ServingMetrics } from './serving-metrics.ts'

export interface Predictor {
  /** Throws `not_ready`, `model_refused` or `draining`. */
  model(): ServedModel
  /** The answer to a request, computed unless its client leaves or its deadline passes first. */
  answer(request: FastifyRequest, reply: FastifyReply, task: Task): Promise<WireAnswer>
}

const MAX_DEADLINE_MS = 3_600_000

export interface PredictorOptions {
  readonly server: ModelServer
  readonly clock: Clock
  /** Awaited before each /predict; throws where a rehearsed failure is due. */
  readonly drill: (() => Promise<void>) | undefined
}

/** Between the protocols and the queue: deadlines, clients that leave, and the counting of what became of a request. */
export function createPredictor({ server, clock, drill }: PredictorOptions): Predictor {
  const { metrics } = server

  async function compute(request: FastifyRequest, reply: FastifyReply, task: Task): Promise<WireAnswer> {
    const { admission } = readyState(server.state())
    const deadlineAt = deadlineOf(request, clock.now())
    if (task.protocol === 'predict') await drill?.()
    const result = await admission.submit({ task, deadlineAt, signal: clientSignal(reply) })
    metrics.observeStages(result.stages)
    if (!result.ok) throw errorOf(result, request)
    for (const observation of result.observations) metrics.observeImage(observation)
    return result.answer
  }

  return {
    model: () => readyState(server.state()).model,
    async answer(request, reply, task) {
      try {
        const answer = await compute(request, reply, task)
        metrics.countRequest('success')
        return answer
      } catch (error) {
        countFailure(error, metrics)
        throw error
      }
    },
  }
}

function readyState(state: ServingState) {
  switch (state.kind) {
    case 'ready':
      return state
    case 'loading':
      throw new WeirError('not_ready', 'the model is loading', { retryAfterSeconds: 1 })
    case 'refused':
      throw new WeirError('model_refused', state.reason)
    case 'draining':
      throw new WeirError('draining', 'this server is stopping', { retryAfterSeconds: 1 })
  }
}

/** `x-request-timeout-ms`: how much longer the client will wait. */
function deadlineOf(request: FastifyRequest, now: number): number | undefined {
  const header = request.headers['x-request-timeout-ms']
  if (header === undefined) return undefined
  const timeoutMs = Number(header)
  if (Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= MAX_DEADLINE_MS) return now + timeoutMs
  throw new WeirError(
    'bad_request',
    `x-request-timeout-ms must be a whole number from 1 to ${MAX_DEADLINE_MS}`,
  )
}

function clientSignal({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController()
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort()
  })
  return gone.signal
}

function errorOf({ code, message }: TaskResult & { ok: false }, request: FastifyRequest): WeirError {
  if (code !== 'internal') return new WeirError(code, message)
  request.log.error({ request_id: request.id, problem: message }, 'a prediction failed')
  return new WeirError('internal', 'the prediction failed; the log of this process has the details')
}

function countFailure(error: unknown, metrics: ServingMetrics): void {
  if (error instanceof WeirError && error.code === 'overloaded') {
    const { reason } = error.details as { reason: string }
    metrics.countShed(reason)
  }
  metrics.countRequest(outcomeOf(error))
}

function outcomeOf(error: unknown): Outcome {
  if (!(error instanceof WeirError)) return 'failure'
  if (error.code === 'overloaded') return 'shed'
  if (error.code === 'client_closed_request' || error.code === 'deadline_exceeded') return 'dropped'
  return error.statusCode < 500 ? 'client_error' : 'failure'
}
