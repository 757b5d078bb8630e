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

/** What the fields of a head say; the last one where one comes more than once. */
interface Fields {
  readonly headers: string[]
  lengths: number
  length: string
  encodings: number
  encoding: string
  connection: string
  keepAlive: string
}

/** The head of an answer, without the empty line at its end; undefined: it is none, or says two things at once. */
export function parseHead(text: string, method: string): RawHead | undefined {
  if (!HEAD.test(text)) return undefined
  const status = Number(text.slice(9, 12))
  const endOfStatusLine = endOfLine(text, 0)
  const fields = readFields(text, endOfStatusLine + 2)
  const framing = framingOf(fields, method, status)
  if (framing === undefined) return undefined
  const isOld = text.charCodeAt(7) === ZERO
  const { headers, connection } = fields
  const keepAlive = isOld ? lists(connection, 'keep-alive') : !lists(connection, 'close')
  return {
    status,
    statusText: text.slice(13, endOfStatusLine),
    headers,
    framing,
    keepAlive: keepAlive && framing.by !== 'close',
    idleMs: fields.keepAlive === '' ? undefined : idleMsOf(fields.keepAlive),
  }
}

const ZERO = 0x30

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\r\n', from)
  return end === -1 ? text.length : end
}

function lists(connection: string, option: string): boolean {
  return connection !== '' && connection.split(',').some(token => token.trim().toLowerCase() === option)
}

function readFields(text: string, from: number): Fields {
  const fields = {
    headers: [] as string[],
    lengths: 0,
    length: '',
    encodings: 0,
    encoding: '',
    connection: '',
    keepAlive: '',
  }
  for (let start = from, end = 0; start < text.length; start = end + 2) {
    end = endOfLine(text, start)
    const colon = text.indexOf(':', start)
    const name = text.slice(start, colon).toLowerCase()
    const value = withoutBlanks(text, colon + 1, end)
    fields.headers.push(name, value)
    if (name === 'content-length') {
      fields.lengths++
      fields.length = value
    } else if (name === 'transfer-encoding') {
      fields.encodings++
      fields.encoding = value.toLowerCase()
    } else if (name === 'connection') {
      fields.connection = fields.connection === '' ? value : `${fields.connection},${value}`
    } else if (name === 'keep-alive') fields.keepAlive = value
  }
  return fields
}

/** Without the spaces and tabs around it. Not `trim()`: that also takes 0xA0, the last byte of many a letter in UTF-8. */
function withoutBlanks(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

/** Undefined: ambiguous, or a coding that we could not take off again before it reaches the client. */
function framingOf(fields: Fields, method: string, status: number): Framing | undefined {
  const { lengths, length, encodings, encoding } = fields
  if (lengths + encodings > 1) return undefined
  if (lengths === 1 && !/^\d{1,15}$/.test(length)) return undefined
  if (encodings === 1 && encoding !== 'chunked') return undefined
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return { by: 'nothing' }
  if (encodings === 1) return { by: 'chunks' }
  return lengths === 0 ? { by: 'close' } : { by: 'length', bytes: Number(length) }
}

function idleMsOf(keepAlive: string): number | undefined {
  const seconds = /timeout=(\d{1,6})/i.exec(keepAlive)?.[1]
  return seconds === undefined ? undefined : Number(seconds) * 1000
}
