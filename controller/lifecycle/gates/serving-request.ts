import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { request as send, type Agent } from 'undici'
import { WeirError } from '../../../contract/errors.ts'
import { datatypeOf } from '../../../contract/datatype.ts'
import type { TensorSpec } from '../../../contract/model-manifest.ts'
import type { GateSubject } from './gate.ts'
import { findLabelledPhotos } from './labelled-photos.ts'

/** What is asked of a version, without saying which of its instances. */
export interface ServingRequest {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly contentType?: string
  readonly body?: Uint8Array
}

export interface ServingAnswer {
  readonly status: number
  /** Parsed where it is JSON. */
  readonly body: unknown
}

const MAX_KINDS = 50

/** As browsers and curl -F send a photo, which every server of photos takes. */
export async function photoRequest(path: string): Promise<ServingRequest> {
  const form = new FormData()
  form.append(
    'file',
    new Blob([new Uint8Array(await readFile(path))], { type: 'image/jpeg' }),
    basename(path),
  )
  const encoded = new Response(form)
  const contentType = encoded.headers.get('content-type') ?? ''
  return { method: 'POST', path: '/predict', contentType, body: await encoded.bytes() }
}

/** Requests that the version must be able to answer, to be sent in turn; photos first of all. Throws `not_found`. */
export async function requestsFor(subject: GateSubject): Promise<readonly ServingRequest[]> {
  const { manifest, model } = subject
  if (!('server' in manifest) && manifest.preprocessing.kind === 'tensor')
    return [onesRequest(model, manifest.input)]
  if (!('server' in manifest) && manifest.preprocessing.kind === 'text')
    return [jsonRequest('/predict', ['The soup was excellent'])]
  const photos = await findLabelledPhotos(subject.samples, manifest.labels ?? []).catch((error: unknown) => {
    if (error instanceof WeirError && error.code === 'not_found') return []
    throw error
  })
  const reference = 'server' in manifest ? undefined : manifest.reference
  const paths = photos.map(({ path }) => path)
  if (paths.length === 0 && reference) paths.push(`${subject.folder}/${reference.image}`)
  if (paths.length === 0)
    throw new WeirError('not_found', `there is no photo to send: none in ${subject.samples}`)
  return Promise.all(paths.slice(0, MAX_KINDS).map(photoRequest))
}

function onesRequest(model: string, { name, type, shape }: TensorSpec): ServingRequest {
  const smallest = shape.map(size => Math.max(1, size))
  const count = smallest.reduce((product, size) => product * size, 1)
  const data = Array.from({ length: count }, () => (type === 'string' ? '' : 1))
  const input = { name, shape: smallest, datatype: datatypeOf(type), data }
  return jsonRequest(`/v2/models/${encodeURIComponent(model)}/infer`, { inputs: [input] })
}

function jsonRequest(path: string, body: unknown): ServingRequest {
  return { method: 'POST', path, contentType: 'application/json', body: Buffer.from(JSON.stringify(body)) }
}

export interface AskOptions {
  readonly timeoutMs: number
  readonly signal: AbortSignal
  readonly agent?: Agent
}

/** One answer, whole, whatever its status. Throws when there is none in time. */
export async function ask(
  endpoint: string,
  { method, path, contentType, body }: ServingRequest,
  { timeoutMs, signal, agent }: AskOptions,
): Promise<ServingAnswer> {
  const answer = await send(new URL(path, endpoint), {
    method,
    ...(contentType !== undefined && { headers: { 'content-type': contentType } }),
    ...(body !== undefined && { body }),
    ...(agent !== undefined && { dispatcher: agent }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
  })
  return { status: answer.statusCode, body: parseJson(await answer.body.text()) }
}

const TRIES = 3
const ASK_TIMEOUT_MS = 30_000

/**
 * What it answers, told apart from how often it fails to: server errors and missing answers are asked again, since counting
 * those is the load gate's part. Throws when no try got an answer.
 */
export async function askAgain(
  endpoint: string,
  request: ServingRequest,
  signal: AbortSignal,
): Promise<ServingAnswer> {
  for (let tries = 1; ; tries++) {
    try {
      const answer = await ask(endpoint, request, { timeoutMs: ASK_TIMEOUT_MS, signal })
      if (answer.status < 500 || tries === TRIES) return answer
    } catch (error) {
      if (tries === TRIES || signal.aborted) throw error
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** In order, so many at a time. */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  limit: number,
  work: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  let next = 0
  async function lane(): Promise<void> {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index]
      if (item !== undefined) results[index] = await work(item, index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
  return results
}
