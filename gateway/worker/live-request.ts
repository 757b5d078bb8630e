import type { Answer } from './answer.ts'
import type { Certified } from './certify.ts'
import type { ExchangeOptions } from './exchange.ts'
import type { LiveRequest } from './mirror.ts'

/** A request as the mirror may have it; undefined: overrides, refusals and failures are not copied. */
export function liveRequestOf(
  { route, kind, request, body, requestId, path, headers }: ExchangeOptions,
  answer: Answer,
  certified: Certified | undefined,
): LiveRequest | undefined {
  if (kind !== 'split' || answer.failure !== undefined || (answer.head?.status ?? 0) >= 400) return undefined
  return {
    requestId,
    method: request.method ?? 'GET',
    path,
    headers,
    body,
    variant: answer.variant.name,
    prediction: certified?.prediction,
    latencyMs: answer.seconds * 1000,
    trace: answer.trace,
    countsOf: name => route.variants.get(name)?.counts,
  }
}
