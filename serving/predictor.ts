import type { FastifyReply, FastifyRequest } from 'fastify'
import { WeirError } from '../contract/errors.ts'
import type { Clock } from '../lib/clock.ts'
import type { Task, TaskResult, WireAnswer } from './inference-messages.ts'
import type { ModelServer } from './model-server.ts'
import { clientSignal, deadlineOf } from './client-limits.ts'
import type { ServedModel } from './served-model.ts'
import type { Outcome, ServingMetrics } from './serving-metrics.ts'
import { requireReady } from './standing-routes.ts'

export interface Predictor {
  /** Throws `not_ready`, `model_refused` or `draining`. */
  model(): ServedModel
  /** The answer to a request, computed unless its client leaves or its deadline passes first. */
  answer(request: FastifyRequest, reply: FastifyReply, task: Task): Promise<WireAnswer>
}

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
    const { admission } = requireReady(server.state())
    const deadlineAt = deadlineOf(request, clock.now())
    if (task.protocol === 'predict') await drill?.()
    const result = await admission.submit({ task, deadlineAt, signal: clientSignal(reply) })
    metrics.observeStages(result.stages)
    if (!result.ok) throw errorOf(result, request)
    for (const observation of result.observations) metrics.observeImage(observation)
    return result.answer
  }

  return {
    model: () => requireReady(server.state()).model,
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

function errorOf({ code, message }: TaskResult & { ok: false }, request: FastifyRequest): WeirError {
  if (code !== 'internal') return new WeirError(code, message)
  request.log.error({ request_id: request.id, problem: message }, 'a prediction failed')
  return new WeirError('internal', 'the prediction failed; the log of this process has the details')
}

/** Counts what became of a request that was not answered. */
export function countFailure(error: unknown, metrics: ServingMetrics): void {
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
