import type { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { WeirError } from '../contract/errors.ts'
import { createBodyBudget, type BodyLease } from './body-budget.ts'
import { countFailure } from './predictor.ts'
import type { ServingMetrics } from './serving-metrics.ts'

export const BODY_LIMIT_BYTES = 32 * 1024 * 1024
/** All bodies that are arriving, waiting or computed. */
export const HELD_BODIES_BYTES = 64 * 1024 * 1024
/** Putting 8 MiB together at once holds the HTTP thread up for 8 ms. */
const SLICE_BYTES = 1024 * 1024

export interface BodyLimits {
  /** Of one body. */
  readonly limitBytes: number
  readonly metrics: ServingMetrics
}

/** Bodies of every content type arrive as a Buffer. None is parsed on this thread; see Task. */
export function takeBodiesAsTheyCome(app: FastifyInstance, { limitBytes, metrics }: BodyLimits): void {
  const budget = createBodyBudget(HELD_BODIES_BYTES)
  metrics.measureBodies(budget.heldBytes)
  const leases = new WeakMap<object, BodyLease>()
  app.addHook('preParsing', async (request, reply) => {
    const lease = budget.lease()
    leases.set(request, lease)
    reply.raw.once('close', () => lease.end())
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', async (request: { headers: Record<string, unknown> }, payload: Readable) => {
    const declaredBytes = Number(request.headers['content-length'] ?? Number.NaN)
    if (declaredBytes > limitBytes) throw tooLarge(limitBytes)
    const { take } = leases.get(request) ?? budget.lease()
    try {
      return await collect(payload, { take, declaredBytes, limitBytes })
    } catch (error) {
      if (error instanceof WeirError && error.code === 'overloaded') countFailure(error, metrics)
      throw error
    }
  })
}

interface Collecting {
  readonly take: BodyLease['take']
  /** NaN for a body that comes in chunks. */
  readonly declaredBytes: number
  readonly limitBytes: number
}

async function collect(payload: Readable, { take, declaredBytes, limitBytes }: Collecting): Promise<Buffer> {
  // where the size is known a large body is put together as it arrives, and never takes twice its size
  const put = declaredBytes > SLICE_BYTES ? fillWhole(declaredBytes) : keepChunks()
  let bytes = 0
  await new Promise<void>((resolve, reject) => {
    let refused = false
    payload.on('data', (chunk: Buffer) => {
      if (refused) return // the connection is still needed for the answer, which closes it
      bytes += chunk.length
      try {
        if (bytes > limitBytes) throw tooLarge(limitBytes)
        take(chunk.length)
        put.add(chunk)
      } catch (error) {
        refused = true
        reject(error as Error)
      }
    })
    payload.once('end', resolve)
    payload.once('error', cause =>
      reject(
        new WeirError('client_closed_request', 'the client went away while it sent the body', { cause }),
      ),
    )
  })
  return put.whole()
}

interface Assembly {
  add(chunk: Buffer): void
  whole(): Promise<Buffer> | Buffer
}

function fillWhole(bytes: number): Assembly {
  let whole: Buffer | undefined
  let filled = 0
  return {
    add(chunk) {
      whole ??= Buffer.allocUnsafeSlow(bytes)
      filled += chunk.copy(whole, filled)
    },
    whole: () => whole?.subarray(0, filled) ?? Buffer.alloc(0),
  }
}

function keepChunks(): Assembly {
  const chunks: Buffer[] = []
  return { add: chunk => void chunks.push(chunk), whole: () => join(chunks) }
}

async function join(chunks: readonly Buffer[]): Promise<Buffer> {
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  if (bytes <= SLICE_BYTES) return Buffer.concat(chunks, bytes)
  const whole = Buffer.allocUnsafeSlow(bytes)
  let filled = 0
  for (const chunk of chunks) {
    const turn = Math.floor(filled / SLICE_BYTES)
    filled += chunk.copy(whole, filled)
    if (Math.floor(filled / SLICE_BYTES) > turn) await new Promise(setImmediate)
  }
  return whole
}

function tooLarge(limitBytes: number): WeirError {
  return new WeirError('body_too_large', `a body may have ${limitBytes} bytes at most`)
}
