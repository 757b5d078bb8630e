import { WeirError } from '../../contract/errors.ts'

// BYTES tensors in the binary extension: each element behind its length, four bytes, little-endian.

const LENGTH_BYTES = 4

export function splitBytesElements(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const elements: Uint8Array[] = []
  for (let at = 0; at < bytes.byteLength;) {
    if (at + LENGTH_BYTES > bytes.byteLength) throw cutShort()
    const start = at + LENGTH_BYTES
    at = start + view.getUint32(at, true)
    if (at > bytes.byteLength) throw cutShort()
    elements.push(bytes.subarray(start, at))
  }
  return elements
}

export function joinBytesElements(texts: readonly string[]): Uint8Array {
  return Buffer.concat(
    texts.flatMap(text => {
      const element = Buffer.from(text, 'utf8')
      const length = Buffer.alloc(LENGTH_BYTES)
      length.writeUInt32LE(element.byteLength)
      return [length, element]
    }),
  )
}

function cutShort(): WeirError {
  return new WeirError('bad_request', 'the binary data ends within an element')
}
