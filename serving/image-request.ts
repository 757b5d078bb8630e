import { z } from 'zod'
import { WeirError } from '../contract/errors.ts'
import { MultipartError, readParts } from '../lib/multipart.ts'
import { describeIssues } from '../lib/parse.ts'
import { decodeBase64 } from './base64.ts'
import { parseJsonBody } from './json-body.ts'

const MAX_PARTS = 64

const jsonRequest = z.strictObject({ image: z.string() })

/** The image's bytes out of a body in any of the three forms: a form with the field `file`, the image itself, or JSON. */
export async function imageOfRequest(contentType: string, body: Uint8Array): Promise<Uint8Array> {
  const mediaType = (contentType.split(';')[0] ?? '').trim().toLowerCase()
  if (mediaType === 'multipart/form-data') return nonEmpty(await fileOfForm(body, contentType))
  if (mediaType === 'application/json') return nonEmpty(imageOfJson(body))
  if (mediaType === '' && body.byteLength === 0) throw missingFile()
  if (mediaType.startsWith('image/') || mediaType === 'application/octet-stream') return nonEmpty(body)
  throw new WeirError(
    'unsupported_media_type',
    'send the photo as multipart/form-data with the field "file", as image/*, or as JSON {"image":"<base64>"}',
  )
}

/** Node's own form parser takes six times a form's size in memory; this one copies it once. */
async function fileOfForm(body: Uint8Array, contentType: string): Promise<Uint8Array> {
  try {
    return await findFile(body, contentType)
  } catch (cause) {
    if (!(cause instanceof MultipartError)) throw cause
    throw new WeirError('invalid_multipart', cause.message, { cause })
  }
}

async function findFile(body: Uint8Array, contentType: string): Promise<Uint8Array> {
  let found: Uint8Array | undefined
  let parts = 0
  for await (const { name, isFile, content } of readParts(inOnePiece(body), contentType)) {
    if (++parts > MAX_PARTS) throw new MultipartError(`a form may have ${MAX_PARTS} parts`)
    if (name !== 'file' || found !== undefined) continue
    if (!isFile)
      throw new WeirError('missing_file', 'the field "file" needs a file name, as in curl -F file=@photo.jpg')
    found = await joined(content)
  }
  if (found === undefined) throw missingFile()
  return found
}

async function* inOnePiece(body: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  yield body
}

/** What lies in one piece is not copied. */
async function joined(content: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of content) pieces.push(piece)
  return pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces)
}

function imageOfJson(body: Uint8Array): Uint8Array {
  const parsed = jsonRequest.safeParse(parseJsonBody(body))
  if (!parsed.success) throw new WeirError('bad_request', describeIssues(parsed.error))
  return decodeBase64(parsed.data.image, 'image')
}

function nonEmpty(bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength === 0) throw new WeirError('empty_file', 'the file is empty')
  return bytes
}

function missingFile(): WeirError {
  return new WeirError('missing_file', 'the form has no field "file" with a photo in it')
}
