// Protocol buffers as far as files that others define need them: https://protobuf.dev/programming-guides/encoding/

export interface Field {
  readonly number: number
  /** Of a varint field; 0 otherwise. */
  readonly value: number
  /** Of a length-delimited field. */
  readonly bytes?: Uint8Array
  /** All of it, its tag too, as it stands in the message. */
  readonly raw: Uint8Array
}

/** Walks a message without copying. Throws RangeError when it is cut short, or no message at all. */
export function* fields(message: Uint8Array): Generator<Field> {
  let at = 0
  while (at < message.length) {
    const start = at
    const tag = readVarint(message, at)
    const number = Math.floor(tag.value / 8)
    at = tag.next
    const wireType = tag.value % 8
    if (wireType === 0) {
      const { value, next } = readVarint(message, at)
      at = next
      yield { number, value, raw: message.subarray(start, at) }
    } else if (wireType === 2) {
      const { value: length, next } = readVarint(message, at)
      at = next + length
      if (at > message.length) throw new RangeError('a field is longer than its message')
      yield { number, value: 0, bytes: message.subarray(next, at), raw: message.subarray(start, at) }
    } else if (wireType === 1 || wireType === 5) {
      at += wireType === 1 ? 8 : 4
      yield { number, value: 0, raw: message.subarray(start, at) }
    } else {
      throw new RangeError(`no such wire type: ${wireType}`)
    }
  }
}

/** Of a packed field. */
export function* varints(bytes: Uint8Array): Generator<number> {
  for (let at = 0; at < bytes.length;) {
    const { value, next } = readVarint(bytes, at)
    at = next
    yield value
  }
}

const MAX_VARINT_BYTES = 10

function readVarint(bytes: Uint8Array, start: number): { value: number; next: number } {
  let value = 0
  for (let index = 0; index < MAX_VARINT_BYTES; index++) {
    const byte = bytes[start + index]
    if (byte === undefined) break
    value += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) return { value, next: start + index + 1 }
  }
  throw new RangeError('a number is cut short')
}

/** A field with a number that is not negative. */
export function varintField(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)])
}

export function textField(field: number, value: string): Buffer {
  return messageField(field, Buffer.from(value, 'utf8'))
}

/** A message within a message, or bytes. */
export function messageField(field: number, content: Uint8Array): Buffer {
  return Buffer.concat([fieldHead(field, content.length), content])
}

/** What stands before so many bytes of a message, for contents that are not put together in memory. */
export function fieldHead(field: number, bytes: number): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(bytes)])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80)
  return Buffer.from([...bytes, rest])
}
