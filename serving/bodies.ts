import type { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { WeirError } from '../contract/errors.ts'

export const BODY_LIMIT_BYTES = 32 * 1024 * 1024
/** Putting 8 MiB together at once holds the HTTP thread up for 8 ms. */
const SLICE_BYTES = 1024 * 1024

/** Bodies of every content type arrive as a Buffer. None is parsed on this thread; see Task. */
export function takeBodiesAsTheyCome(app: FastifyInstance, limitBytes: number): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', async (request: { headers: Record<string, unknown> }, payload: Readable) => {
    if (Number(request.headers['content-length']) > limitBytes) throw tooLarge(limitBytes)
    return join(await collect(payload, limitBytes))
  })
}

function collect(payload: Readable, limitBytes: number): Promise<Buffer[]> {
  const chunks: Buffer[] = []
  let bytes = 0
  return new Promise((resolve, reject) => {
    payload.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= limitBytes) chunks.push(chunk)
      else reject(tooLarge(limitBytes)) // the connection is still needed for the answer, which closes it
    })
    payload.once('end', () => resolve(chunks))
    payload.once('error', cause =>
      reject(
        new WeirError('client_closed_request', 'the client went away while it sent the body', { cause }),
      ),
    )
  })
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
