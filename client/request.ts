import { errorAnswer, WeirError, type ErrorCode } from '../contract/errors.ts'

export interface ClientOptions {
  readonly baseUrl: string
  /** For one request and its whole answer. */
  readonly timeoutMs?: number
}

export interface JsonAnswer {
  readonly status: number
  readonly headers: Headers
  /** Parsed where it is JSON, text otherwise. */
  readonly body: unknown
}

interface RequestOptions {
  /** Sent as JSON. */
  readonly body?: unknown
  /** Sent as a form, in place of a body. */
  readonly form?: FormData
  readonly headers?: Readonly<Record<string, string>>
  /** In place of the client's. */
  readonly timeoutMs?: number
}

export type JsonRequest = ReturnType<typeof jsonRequest>

const DEFAULT_TIMEOUT_MS = 5000

/**
 * Requests to one of our APIs. A refusal becomes the WeirError that the other side meant, with its stable code; a peer that
 * cannot be reached or does not answer in time becomes `bad_gateway` or `gateway_timeout`, naming the address.
 */
export function jsonRequest({ baseUrl, timeoutMs: usualMs = DEFAULT_TIMEOUT_MS }: ClientOptions) {
  return async (
    method: string,
    path: string,
    { body, form, headers = {}, timeoutMs = usualMs }: RequestOptions = {},
  ): Promise<JsonAnswer> => {
    const response = await send(`${baseUrl}${path}`, {
      method,
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(form === undefined ? {} : { body: form }),
      signal: AbortSignal.timeout(timeoutMs),
    })
    const parsed = parseBody(response.text)
    if (response.status >= 400) throw refusal(response.status, parsed, `${method} ${baseUrl}${path}`)
    return { status: response.status, headers: response.headers, body: parsed }
  }
}

async function send(
  url: string,
  init: RequestInit,
): Promise<{ status: number; headers: Headers; text: string }> {
  try {
    const response = await fetch(url, init)
    return { status: response.status, headers: response.headers, text: await response.text() }
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'TimeoutError') {
      throw new WeirError('gateway_timeout', `${url} did not answer in time`, { cause })
    }
    throw new WeirError('bad_gateway', `nothing answers at ${new URL(url).origin}; is it running?`)
  }
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text // not every answer is JSON: metrics and logs are text
  }
}

function refusal(status: number, body: unknown, what: string): WeirError {
  const parsed = errorAnswer.safeParse(body)
  if (!parsed.success) return new WeirError('bad_gateway', `${what} answered ${status}`)
  const { code, message, details } = parsed.data.error
  return new WeirError(code as ErrorCode, message, { details })
}
