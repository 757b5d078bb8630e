import type { FastifyReply, FastifyRequest } from 'fastify'
import { WeirError } from '../contract/errors.ts'

const MAX_DEADLINE_MS = 3_600_000

/** `x-request-timeout-ms`: until when the client will wait, in ms since the epoch. */
export function deadlineOf(request: FastifyRequest, now: number): number | undefined {
  const header = request.headers['x-request-timeout-ms']
  if (header === undefined) return undefined
  const timeoutMs = Number(header)
  if (Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= MAX_DEADLINE_MS) return now + timeoutMs
  throw new WeirError(
    'bad_request',
    `x-request-timeout-ms must be a whole number from 1 to ${MAX_DEADLINE_MS}`,
  )
}

/** Aborts when the client is gone. */
export function clientSignal({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController()
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort()
  })
  return gone.signal
}
