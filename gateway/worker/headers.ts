import type { IncomingMessage } from 'node:http'
import { HOP_BY_HOP } from '../../lib/hop-by-hop.ts'

// Header lists are flat here, [name, value, name, value, …], as Node reads them (rawHeaders) and as writeHead takes them.

/** Set by this gateway and believed by those behind it, so a client's own are left out. */
const OURS_IN_REQUESTS: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'x-weir-variant',
  'x-weir-shadow',
  'x-request-id',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'forwarded',
  'traceparent',
])

const OURS_IN_ANSWERS: ReadonlySet<string> = new Set([
  'x-weir-variant',
  'x-weir-model-version',
  'x-weir-fallback',
  'x-request-id',
])

interface HeaderName {
  readonly lower: string
  readonly staysOutOfRequests: boolean
  readonly staysOutOfAnswers: boolean
  /** Of the kind that only proxies write. */
  readonly isForwarding: boolean
}

/** The names met so far, for they repeat; bounded, for a client could make up new ones for ever. */
const knownNames = new Map<string, HeaderName>()
const MAX_KNOWN_NAMES = 1000

function nameOf(name: string): HeaderName {
  const known = knownNames.get(name)
  if (known) return known
  const lower = name.toLowerCase()
  const isHopByHop = HOP_BY_HOP.has(lower)
  const made = {
    lower,
    staysOutOfRequests: isHopByHop || OURS_IN_REQUESTS.has(lower),
    staysOutOfAnswers: isHopByHop || OURS_IN_ANSWERS.has(lower),
    isForwarding: lower.startsWith('x-forwarded-') || lower === 'x-real-ip',
  }
  if (knownNames.size < MAX_KNOWN_NAMES) knownNames.set(name, made)
  return made
}

export interface ForwardedFacts {
  readonly requestId: string
  readonly forwardedFor: string
  readonly forwardedHost: string
  readonly forwardedProto: string
  /** What else X-Forwarded-* says is believed. */
  readonly isFromTrustedProxy: boolean
  readonly traceparent: string
  /** The gateway reads the answer, so it must come as it is. */
  readonly uncompressed: boolean
}

/**
 * The headers for the upstream. Hop-by-hop headers and all that Connection lists go first and ours are added afterwards:
 * in the other order a client could name ours in Connection and so delete them (@fastify/reply-from #449).
 */
export function upstreamHeaders(request: IncomingMessage, facts: ForwardedFacts): string[] {
  const { rawHeaders } = request
  const listed = listedInConnection(request.headers.connection)
  const headers: string[] = []
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    const { lower, staysOutOfRequests, isForwarding } = nameOf(name)
    if (staysOutOfRequests || listed?.has(lower)) continue
    if (isForwarding && !facts.isFromTrustedProxy) continue
    if (facts.uncompressed && lower === 'accept-encoding') continue
    headers.push(name, rawHeaders[index + 1] ?? '')
  }
  headers.push('x-request-id', facts.requestId, 'x-forwarded-for', facts.forwardedFor)
  headers.push('x-forwarded-proto', facts.forwardedProto, 'traceparent', facts.traceparent)
  if (facts.forwardedHost !== '') headers.push('x-forwarded-host', facts.forwardedHost)
  if (facts.uncompressed) headers.push('accept-encoding', 'identity')
  return headers
}

/** An upstream's answer headers without what belongs to its connection with us; names lower-case. */
export interface AnswerHeaders {
  readonly list: string[]
  readonly contentLength: number | undefined
  readonly modelVersion: string | undefined
}

/** `pairs`: names (lower-case) and values in turn, a repeated header as one pair each. */
export function answerHeaders(pairs: readonly string[]): AnswerHeaders {
  const listed = listedInConnection(connectionOf(pairs))
  const list: string[] = []
  let contentLength: number | undefined
  let modelVersion: string | undefined
  for (let index = 0; index < pairs.length; index += 2) {
    const name = pairs[index] ?? ''
    const value = pairs[index + 1] ?? ''
    if (name === 'x-weir-model-version') modelVersion = value
    if (nameOf(name).staysOutOfAnswers || listed?.has(name)) continue
    if (name === 'content-length') contentLength = Number(value)
    else list.push(name, value)
  }
  return { list, contentLength, modelVersion }
}

function connectionOf(pairs: readonly string[]): string | undefined {
  let connection: string | undefined
  for (let index = 0; index < pairs.length; index += 2) {
    if (pairs[index] !== 'connection') continue
    connection = connection === undefined ? pairs[index + 1] : `${connection},${pairs[index + 1]}`
  }
  return connection
}

function listedInConnection(value: string | undefined): ReadonlySet<string> | undefined {
  if (value === undefined || value === 'keep-alive' || value === 'close') return undefined
  return new Set(value.split(',').map(name => name.trim().toLowerCase()))
}

/**
 * What makes a request ambiguous, so that a server behind us could read it otherwise than we did (request smuggling), or
 * undefined. Node's parser refuses most by itself; it joins or drops duplicates of some headers, so we look at the raw list.
 */
export function ambiguity(request: IncomingMessage): string | undefined {
  const { rawHeaders } = request
  let hosts = 0
  let lengths = 0
  let encodings = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
    else if (name.length === 14 && name.toLowerCase() === 'content-length') lengths++
    else if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') encodings++
  }
  if (hosts === 0 && request.httpVersion === '1.1') return 'the Host header is missing'
  if (hosts > 1) return 'the Host header comes more than once'
  if (lengths > 1) return 'the Content-Length header comes more than once'
  if (encodings > 1) return 'the Transfer-Encoding header comes more than once'
  if (encodings === 1 && request.headers['transfer-encoding']?.toLowerCase() !== 'chunked')
    return 'the Transfer-Encoding is not "chunked" alone'
  if (lengths + encodings > 1) return 'Content-Length and Transfer-Encoding exclude each other'
  return undefined
}
