import { z } from 'zod'

// What the others ask of one serving process.

const version = z.object({
  model: z.string(),
  model_version: z.string(),
  digest: z.string(),
  drill: z.unknown().optional(),
})
export type ServingVersion = z.infer<typeof version>

export type ServingReadiness =
  | { readonly state: 'ready' }
  /** It answers, and says why it takes no requests (loading, refused model, draining). */
  | { readonly state: 'not-ready'; readonly code: string; readonly reason: string }
  | { readonly state: 'unreachable'; readonly reason: string }

export interface ServingClient {
  /** Throws ServingClientError when there is no answer, or none of this shape. */
  version(): Promise<ServingVersion>
  /** Never throws: that nothing answers is a state like the others. */
  ready(): Promise<ServingReadiness>
  /** What its model, or its command, has resident as it says itself; null when it does not say. Never throws. */
  residentBytes(): Promise<number | null>
  /** The answer to one photo as it came, whatever its status. */
  predict(
    photo: Uint8Array,
    contentType: string,
  ): Promise<{ readonly status: number; readonly body: unknown }>
}

export interface ServingClientOptions {
  readonly baseUrl: string
  readonly timeoutMs?: number
  readonly predictTimeoutMs?: number
  /** Sent with every request, such as which variant is meant where a gateway is asked. */
  readonly headers?: Readonly<Record<string, string>>
}

class ServingClientError extends Error {}

export function createServingClient(options: ServingClientOptions): ServingClient {
  const { baseUrl, timeoutMs = 2000, predictTimeoutMs = 30_000, headers = {} } = options

  async function request(
    path: string,
    limitMs: number,
    init: Omit<RequestInit, 'headers'> & { readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    const response = await fetch(new URL(path, baseUrl), {
      ...init,
      headers: { ...headers, ...init.headers },
      signal: AbortSignal.timeout(limitMs),
    })
    return { status: response.status, body: parseJson(await response.text()) }
  }

  return {
    async version() {
      const { status, body } = await request('/version', timeoutMs).catch((cause: unknown) => {
        throw new ServingClientError(`${baseUrl} does not answer /version`, { cause })
      })
      const parsed = version.safeParse(body)
      if (status === 200 && parsed.success) return parsed.data
      throw new ServingClientError(`${baseUrl}/version answered ${status}: ${errorOf(body).reason}`)
    },
    async ready() {
      try {
        const { status, body } = await request('/readyz', timeoutMs)
        return status === 200 ? { state: 'ready' } : { state: 'not-ready', ...errorOf(body) }
      } catch (error) {
        return { state: 'unreachable', reason: reasonOf(error) }
      }
    },
    async residentBytes() {
      try {
        const { status, body } = await request('/metrics', timeoutMs)
        return status === 200 ? residentBytesIn(String(body)) : null
      } catch {
        return null // nobody answers, so nobody says
      }
    },
    predict: (photo, contentType) =>
      request('/predict', predictTimeoutMs, {
        method: 'POST',
        headers: { 'content-type': contentType },
        body: new Blob([new Uint8Array(photo)]),
      }),
  }
}

/** A command's own memory where there is one: what stands in front of it has its own, which nobody limits. */
function residentBytesIn(metrics: string): number | null {
  const [, bytes] =
    /^weir_serving_command_bytes ([1-9]\S*)$/m.exec(metrics) ??
    /^process_resident_memory_bytes (\S+)$/m.exec(metrics) ??
    []
  return bytes === undefined || Number(bytes) === 0 ? null : Number(bytes)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const errorShape = z.object({ error: z.object({ code: z.string(), message: z.string() }) })

function errorOf(body: unknown): { code: string; reason: string } {
  const parsed = errorShape.safeParse(body)
  if (!parsed.success) return { code: 'unknown', reason: 'an answer without an error code' }
  return { code: parsed.data.error.code, reason: parsed.data.error.message }
}

/** fetch hides what happened in the error's cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}
