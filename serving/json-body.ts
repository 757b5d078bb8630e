import { WeirError } from '../contract/errors.ts'

/** Larger tensors belong in the binary extension of the Open Inference Protocol. */
const MAX_JSON_BYTES = 16 * 1024 * 1024
/** Sixteen million times `[]` or `"a":0` would become half a gigabyte of objects; what a protocol says has far fewer. */
const MAX_STRUCTURES = 100_000
/** Eight million times `0,` became 300 MB on the way to a tensor. Six photos of 224 by 224 pixels are a million numbers. */
const MAX_VALUES = 1_000_000
const SMALL_BYTES = 64 * 1024

/** Parses a body as JSON without letting a hostile one fill the memory. Throws `invalid_json` or `body_too_large`. */
export function parseJsonBody(body: Uint8Array): unknown {
  if (body.byteLength > MAX_JSON_BYTES) {
    throw new WeirError('body_too_large', `JSON may have ${MAX_JSON_BYTES} bytes at most`)
  }
  if (body.byteLength > SMALL_BYTES) refuseCrowded(body)
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  } catch {
    throw new WeirError('invalid_json', 'the body is not JSON') // the parser's own message quotes the input
  }
}

/** Goes by single bytes: one within a text counts as well, and texts are short. */
function refuseCrowded(body: Uint8Array): void {
  let structures = 0
  let values = 0
  for (const byte of body) {
    if (byte === COMMA) values++
    else if (byte === OPENING_BRACKET || byte === OPENING_BRACE || byte === COLON) structures++
  }
  if (structures > MAX_STRUCTURES) {
    const message = `the JSON has more than ${MAX_STRUCTURES} arrays, objects and members of objects`
    throw new WeirError('invalid_json', message)
  }
  if (values >= MAX_VALUES) {
    const message = `the JSON has more than ${MAX_VALUES} values; the binary extension of /v2 takes larger tensors`
    throw new WeirError('body_too_large', message)
  }
}

const COMMA = 0x2c
const COLON = 0x3a
const OPENING_BRACKET = 0x5b
const OPENING_BRACE = 0x7b
