import type { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Agent, request as send } from 'undici'
import { WeirError } from '../../contract/errors.ts'
import type { Clock } from '../../lib/clock.ts'
import { clientSignal, deadlineOf } from '../client-limits.ts'
import { countFailure } from '../predictor.ts'
import { requireReady } from '../standing-routes.ts'
import type { CustomServer } from './custom-server.ts'

export interface PassedRequest {
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly body: Uint8Array
}

export interface PassedAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly body: Readable
}

/** Throws `not_ready`, `overloaded`, `deadline_exceeded`, `client_closed_request` or `bad_gateway`. */
export type Pass = (
  request: FastifyRequest,
  reply: FastifyReply,
  passed: PassedRequest,
) => Promise<PassedAnswer>

export interface PassingOptions {
  readonly server: CustomServer
  readonly clock: Clock
  readonly drill: (() => Promise<void>) | undefined
}

const MAX_IN_FLIGHT = 128
const MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024
const ANSWER_LIMIT_MS = 60_000
const DROPPED = new Set(['connection', 'keep-alive', 'transfer-encoding', 'trailer', 'upgrade'])

/** Passes requests on to a version's own server, and counts what became of them as for any version. */
export function createPassing({ server, clock, drill }: PassingOptions): Pass {
  const { inFlight, metrics } = server
  const agent = new Agent({
    connections: MAX_IN_FLIGHT,
    headersTimeout: ANSWER_LIMIT_MS,
    bodyTimeout: ANSWER_LIMIT_MS,
  })

  async function passOn(
    request: FastifyRequest,
    reply: FastifyReply,
    passed: PassedRequest,
  ): Promise<PassedAnswer> {
    const { predictUrl } = requireReady(server.state())
    const deadlineAt = deadlineOf(request, clock.now())
    await drill?.()
    const gone = clientSignal(reply)
    const late =
      deadlineAt === undefined ? undefined : AbortSignal.timeout(Math.max(0, deadlineAt - clock.now()))
    try {
      const { statusCode, headers, body } = await send(predictUrl, {
        method: 'POST',
        headers: passed.headers,
        body: passed.body,
        signal: late ? AbortSignal.any([gone, late]) : gone,
        dispatcher: agent,
      })
      return { status: statusCode, headers: kept(headers), body }
    } catch (cause) {
      if (gone.aborted) throw new WeirError('client_closed_request', 'the client went away', { cause })
      if (late?.aborted)
        throw new WeirError('deadline_exceeded', 'the time that the client gave has passed', { cause })
      throw new WeirError('bad_gateway', 'the server of this version gave no answer', { cause })
    }
  }

  function takePlace({ byteLength }: Uint8Array): () => void {
    if (inFlight.count >= MAX_IN_FLIGHT || inFlight.bytes + byteLength > MAX_IN_FLIGHT_BYTES) {
      const details = { reason: 'queue_full' }
      throw new WeirError('overloaded', 'too many requests are being answered', {
        retryAfterSeconds: 1,
        details,
      })
    }
    inFlight.count += 1
    inFlight.bytes += byteLength
    return () => {
      inFlight.count -= 1
      inFlight.bytes -= byteLength
    }
  }

  return async (request, reply, passed) => {
    try {
      const leave = takePlace(passed.body)
      const answer = await passOn(request, reply, passed).catch((error: unknown) => {
        leave()
        throw error
      })
      answer.body.once('close', leave)
      metrics.countRequest(answer.status < 400 ? 'success' : answer.status < 500 ? 'client_error' : 'failure')
      return answer
    } catch (error) {
      countFailure(error, metrics)
      throw error
    }
  }
}

function kept(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined || DROPPED.has(name) ? [] : [[name, value]],
    ),
  )
}
