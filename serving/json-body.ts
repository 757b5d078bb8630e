import { WeirError } from '../contract/errors.ts'

/** Larger tensors belong in the binary extension of the Open Inference Protocol. */
const MAX_JSON_BYTES = 16 * 1024 * 1024
/** Sixteen million times `[]` would become half a gigabyte of objects; a tensor of any sensible shape has far fewer. */
const MAX_OPENINGS = 100_000
const SMALL_BYTES = 64 * 1024

/** Parses a body as JSON without letting a hostile one fill the memory. Throws `invalid_json` or `body_too_large`. */
export function parseJsonBody(body: Uint8Array): unknown {
  if (body.byteLength > MAX_JSON_BYTES) {
    throw new WeirError('body_too_large', `JSON may have ${MAX_JSON_BYTES} bytes at most`)
  }
  if (body.byteLength > SMALL_BYTES && openings(body) > MAX_OPENINGS) {
    throw new WeirError('invalid_json', `the JSON has more than ${MAX_OPENINGS} arrays and objects`)
  }
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  } catch {
    throw new WeirError('invalid_json', 'the body is not JSON') // the parser's own message quotes the input
  }
}

function openings(body: Uint8Array): number {
  let count = 0
  for (const byte of body) if (byte === 0x5b || byte === 0x7b) count++
  return count
}
