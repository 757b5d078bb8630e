import { WeirError } from '../contract/errors.ts'

// multipart/form-data (RFC 7578) in a body that is already in memory. A streaming parser copies and scans every byte in
// JavaScript, 0.1 to 0.3 ms for a photo; here the boundary is found by Buffer.indexOf and the file is a view of the body.

export interface FormPart {
  readonly name: string
  readonly content: Uint8Array
}

const MAX_PARTS = 64
const MAX_PART_HEADER_BYTES = 8 * 1024
const MAX_BOUNDARY_LENGTH = 70 // RFC 2046, section 5.1.1

/** The parts in their order. Throws `invalid_multipart` where the form is cut short or is none. */
export function parseMultipart(body: Uint8Array, contentType: string): FormPart[] {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const delimiter = Buffer.from(`--${boundaryOf(contentType)}`, 'latin1')
  const parts: FormPart[] = []
  let at = bytes.indexOf(delimiter)
  if (at === -1) throw invalid('the form does not contain its boundary')
  for (;;) {
    at += delimiter.length
    if (bytes.toString('latin1', at, at + 2) === '--') return parts
    if (parts.length === MAX_PARTS) throw invalid(`the form has more than ${MAX_PARTS} parts`)
    const next = bytes.indexOf(Buffer.concat([CRLF, delimiter]), at)
    if (next === -1) throw invalid('the form ends before its closing boundary')
    parts.push(parsePart(bytes.subarray(at, next)))
    at = next + CRLF.length
  }
}

const CRLF = Buffer.from('\r\n')
const HEADER_END = Buffer.from('\r\n\r\n')

function boundaryOf(contentType: string): string {
  const match = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType)
  const boundary = match?.[1] ?? match?.[2]
  if (boundary === undefined || boundary.length > MAX_BOUNDARY_LENGTH) {
    throw invalid('the content type names no usable boundary')
  }
  return boundary
}

/** `part` runs from behind the delimiter (which ends in a line break) to the line break before the next one. */
function parsePart(part: Buffer): FormPart {
  const headerEnd = part.indexOf(HEADER_END)
  if (headerEnd === -1 || headerEnd > MAX_PART_HEADER_BYTES) throw invalid('a part of the form has no header')
  const header = part.toString('utf8', 0, headerEnd)
  const disposition = /^content-disposition:\s*form-data\s*;(.*)$/im.exec(header)?.[1]
  const name = disposition === undefined ? undefined : /(?:^|[;\s])name="([^"]*)"/i.exec(disposition)?.[1]
  if (name === undefined) throw invalid('a part of the form has no name')
  return { name, content: part.subarray(headerEnd + HEADER_END.length) }
}

function invalid(message: string): WeirError {
  return new WeirError('invalid_multipart', message)
}
