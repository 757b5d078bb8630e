import { createWriteStream, openAsBlob } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { WeirError } from '../../contract/errors.ts'
import { describeProblem } from '../../lib/problem.ts'

export type MlflowCredentials =
  | { readonly username: string; readonly password: string }
  | { readonly token: string }

export interface MlflowApiOptions {
  readonly baseUrl: string
  /** Sent with every request, and told to nobody else. */
  readonly credentials?: MlflowCredentials | undefined
  /** For one call. */
  readonly timeoutMs?: number
  /** For one file. */
  readonly transferMs?: number
  /** Until what may be asked twice is asked once more. */
  readonly pauseMs?: number
}

/** What MLflow refused, by its own code. */
export class MlflowRefusal extends Error {
  readonly errorCode: string
  constructor(errorCode: string, message: string) {
    super(message)
    this.errorCode = errorCode
  }
}

/** The server broke off or failed, and may do better at once; one that is slow would be as slow again. */
class Hiccup extends WeirError {}

export type MlflowApi = ReturnType<typeof createMlflowApi>

const refusalBody = z.object({ error_code: z.string(), message: z.string() })
const RETRY_AFTER_SECONDS = 5
const ARTIFACTS = '/api/2.0/mlflow-artifacts/artifacts'

/**
 * The REST API of an MLflow server (https://mlflow.org/docs/latest/api_reference/rest-api.html). A server that is away, slow or
 * failing is `registry_unavailable`; what it refuses is a MlflowRefusal. After a hiccup what may be asked twice is asked again.
 */
export function createMlflowApi(options: MlflowApiOptions) {
  const { timeoutMs = 10_000, transferMs = 600_000, pauseMs = 300, credentials } = options
  const authorization = credentials === undefined ? {} : { authorization: authorizationOf(credentials) }
  const baseUrl = options.baseUrl.replace(/\/+$/, '')

  /** `use` reads the answer, within the same time limit. */
  async function request<Result>(
    path: string,
    init: Pick<RequestInit, 'method' | 'body'> & {
      readonly headers?: Readonly<Record<string, string>>
      readonly limitMs: number
    },
    use: (response: Response) => Promise<Result>,
  ): Promise<Result> {
    const { limitMs, ...rest } = init
    const headers = { ...rest.headers, ...authorization }
    const signal = AbortSignal.timeout(limitMs)
    try {
      const response = await fetch(`${baseUrl}${path}`, { ...rest, headers, signal })
      if (!response.ok) await refuse(response)
      return await use(response)
    } catch (cause) {
      if (signal.aborted)
        throw new WeirError(...unavailable(`did not answer within ${limitMs / 1000} s`, cause))
      // undici's word for everything between the two machines; how it went is in its cause
      if (cause instanceof TypeError)
        throw new Hiccup(...unavailable(`cannot be reached: ${describeProblem(cause.cause ?? cause)}`, cause))
      throw cause
    }
  }

  async function twice<Result>(work: () => Promise<Result>): Promise<Result> {
    return work().catch(async (error: unknown) => {
      if (!(error instanceof Hiccup)) throw error
      await sleep(pauseMs)
      return work()
    })
  }

  function unavailable(what: string, cause?: unknown): ConstructorParameters<typeof WeirError> {
    const message = `the MLflow server at ${baseUrl} ${what}`
    return ['registry_unavailable', message, { cause, retryAfterSeconds: RETRY_AFTER_SECONDS }]
  }

  async function refuse(response: Response): Promise<never> {
    const text = await response.text()
    if (response.status >= 500 || response.status === 429)
      throw new Hiccup(...unavailable(`answered ${response.status}`))
    const parsed = refusalBody.safeParse(parseJson(text))
    if (parsed.success) throw new MlflowRefusal(parsed.data.error_code, parsed.data.message)
    if (response.status === 401 || response.status === 403) throw unauthorized(response.status)
    throw new WeirError(
      'bad_gateway',
      `the MLflow server at ${baseUrl} answered ${response.status}; is it one?`,
    )
  }

  function unauthorized(status: number): WeirError {
    const how = credentials === undefined ? 'without credentials' : 'with the credentials given'
    const whose = status === 403 ? ', of somebody who may do this' : ''
    const message = `the MLflow server at ${baseUrl} answered ${status} ${how}: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN${whose}`
    return new WeirError('bad_gateway', message)
  }

  async function call<Answer>(
    method: string,
    path: string,
    schema: z.ZodType<Answer>,
    body?: Readonly<Record<string, unknown>>,
  ): Promise<Answer> {
    const init = {
      method,
      limitMs: timeoutMs,
      ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    }
    const parsed = schema.safeParse(
      await request(`/api/2.0/mlflow/${path}`, init, async response => parseJson(await response.text())),
    )
    if (parsed.success) return parsed.data
    throw new WeirError(
      'bad_gateway',
      `the MLflow server at ${baseUrl} answered ${path} with something unknown`,
      {
        cause: parsed.error,
      },
    )
  }

  return {
    get: <Answer>(path: string, query: Readonly<Record<string, string>>, schema: z.ZodType<Answer>) =>
      twice(async () => call('GET', `${path}?${new URLSearchParams(query)}`, schema)),
    post: <Answer>(path: string, body: Readonly<Record<string, unknown>>, schema: z.ZodType<Answer>) =>
      call('POST', path, schema, body),
    remove: async (path: string, body: Readonly<Record<string, unknown>>) =>
      void (await call('DELETE', path, z.unknown(), body)),
    /** `folder`: as an artifact URI names it. */
    async upload(folder: string, name: string, file: string): Promise<void> {
      const init = { method: 'PUT', body: await openAsBlob(file), limitMs: transferMs }
      await twice(async () => request(artifact(folder, name), init, response => response.text()))
    },
    async download(folder: string, name: string, file: string): Promise<void> {
      await twice(async () =>
        request(artifact(folder, name), { limitMs: transferMs }, async ({ body }) => {
          if (body) await pipeline(Readable.fromWeb(body as ReadableStream), createWriteStream(file))
        }),
      )
    },
  }
}

/** As MLflow's own clients do: https://mlflow.org/docs/latest/self-hosting/security/basic-http-auth/ */
function authorizationOf(credentials: MlflowCredentials): string {
  if ('token' in credentials) return `Bearer ${credentials.token}`
  const { username, password } = credentials
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

/** `mlflow-artifacts:/1/RUN/artifacts/model`, with or without a host: artifacts that the server itself passes on. */
function artifact(folder: string, name: string): string {
  const [, path] = /^mlflow-artifacts:(?:\/\/[^/]*)?\/(.+)$/.exec(folder) ?? []
  if (path !== undefined) return `${ARTIFACTS}/${encodeURI(`${path}/${name}`)}`
  throw new WeirError(
    'bad_gateway',
    `MLflow keeps artifacts at ${folder}: start it with --artifacts-destination, so that it serves them itself`,
  )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text // what is not JSON fits no schema, and is told there
  }
}
