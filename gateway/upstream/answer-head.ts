/** How the end of an answer's body is told (RFC 9112 6.3). */
export type Framing =
  | { readonly by: 'nothing' }
  | { readonly by: 'length'; readonly bytes: number }
  | { readonly by: 'chunks' }
  | { readonly by: 'close' }

export interface RawHead {
  readonly status: number
  readonly statusText: string
  /** [name, value, …] as they came, names in lower case. */
  readonly headers: readonly string[]
  readonly framing: Framing
  /** The connection may be used again after this answer. */
  readonly keepAlive: boolean
  /** For how long it may be idle, where the server says so. */
  readonly idleMs: number | undefined
}

// Stricter than most clients: what is not exactly a head is refused, so that nothing can be read in two ways. Every line ends
// with CRLF, no line is folded, no space comes before a colon and no control character anywhere.
const HEAD =
  /^HTTP\/1\.[01] [1-9]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?(?:\r\n[!#$%&'*+\-.^_`|~\dA-Za-z]+:[\t\x20-\x7e\x80-\xff]*)*$/

interface Fields {
  readonly headers: string[]
  readonly lengths: string[]
  readonly encodings: string[]
  readonly connection: string[]
  keepAlive: string
}

/** The head of an answer, without the empty line at its end; undefined: it is none, or says two things at once. */
export function parseHead(text: string, method: string): RawHead | undefined {
  if (!HEAD.test(text)) return undefined
  const lines = text.split('\r\n')
  const [statusLine = ''] = lines
  const status = Number(statusLine.slice(9, 12))
  const fields = readFields(lines)
  const framing = framingOf(fields, method, status)
  if (framing === undefined) return undefined
  const isOld = statusLine.charCodeAt(7) === ZERO
  const { headers, connection } = fields
  const keepAlive = isOld ? connection.includes('keep-alive') : !connection.includes('close')
  return {
    status,
    statusText: statusLine.slice(13),
    headers,
    framing,
    keepAlive: keepAlive && framing.by !== 'close',
    idleMs: idleMsOf(fields.keepAlive),
  }
}

const ZERO = 0x30

function readFields(lines: readonly string[]): Fields {
  const fields: Fields = { headers: [], lengths: [], encodings: [], connection: [], keepAlive: '' }
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index] ?? ''
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = trimmed(line, colon + 1)
    fields.headers.push(name, value)
    if (name === 'content-length') fields.lengths.push(value)
    else if (name === 'transfer-encoding') fields.encodings.push(value.toLowerCase())
    else if (name === 'keep-alive') fields.keepAlive = value
    else if (name === 'connection')
      fields.connection.push(...value.split(',').map(token => token.trim().toLowerCase()))
  }
  return fields
}

/** Without the spaces and tabs around it. Not `trim()`: that also takes 0xA0, the last byte of many a letter in UTF-8. */
function trimmed(line: string, from: number): string {
  let start = from
  let end = line.length
  while (start < end && isBlank(line.charCodeAt(start))) start++
  while (end > start && isBlank(line.charCodeAt(end - 1))) end--
  return line.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

/** Undefined: ambiguous, or a coding that we could not take off again before it reaches the client. */
function framingOf({ lengths, encodings }: Fields, method: string, status: number): Framing | undefined {
  const [length] = lengths
  if (lengths.length + encodings.length > 1) return undefined
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return undefined
  if (encodings.length === 1 && encodings[0] !== 'chunked') return undefined
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return { by: 'nothing' }
  if (encodings.length === 1) return { by: 'chunks' }
  return length === undefined ? { by: 'close' } : { by: 'length', bytes: Number(length) }
}

function idleMsOf(keepAlive: string): number | undefined {
  const seconds = /timeout=(\d{1,6})/i.exec(keepAlive)?.[1]
  return seconds === undefined ? undefined : Number(seconds) * 1000
}
