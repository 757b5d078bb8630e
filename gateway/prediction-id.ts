import { hash, timingSafeEqual } from 'node:crypto'
import type { PredictionClaims } from './messages.ts'

// PAYLOAD.MAC, both base64url. The payload is readable, the code is what counts: whoever has the key can check an id without
// a look-up, on any worker and any replica.

export interface PredictionIds {
  sign(claims: PredictionClaims): string
  /** What an id says; undefined: not signed with this key, or not an id at all. */
  read(id: string): PredictionClaims | undefined
}

const MAC_BYTES = 16

export function createPredictionIds(key: string): PredictionIds {
  const macOf = createMac(key)
  return {
    sign({ route, variant, label, epoch, at, nonce }) {
      const payload = Buffer.from(JSON.stringify([route, variant, label, epoch, at, nonce])).toString(
        'base64url',
      )
      return `${payload}.${macOf(payload).toString('base64url')}`
    },
    read(id) {
      const [payload = '', mac = '', ...rest] = id.split('.')
      if (rest.length > 0) return undefined
      const given = Buffer.from(mac, 'base64url')
      if (given.length !== MAC_BYTES || !timingSafeEqual(given, macOf(payload))) return undefined
      return parseClaims(payload)
    },
  }
}

const BLOCK_BYTES = 64
const DIGEST_BYTES = 32
/** For the payloads of most ids; a longer one is copied. */
const ROOM_BYTES = 1024

/** HMAC-SHA256 (RFC 2104), cut to 16 bytes, from two one-shot hashes: Node's Hmac object costs several times as much. */
function createMac(key: string): (payload: string) => Buffer {
  const keyBytes = Buffer.byteLength(key) > BLOCK_BYTES ? hash('sha256', key, 'buffer') : Buffer.from(key)
  const block = Buffer.concat([keyBytes, Buffer.alloc(BLOCK_BYTES)], BLOCK_BYTES)
  const inner = withBlock(block, 0x36)
  const outer = withBlock(block, 0x5c)
  return payload => {
    const bytes = Buffer.byteLength(payload)
    const message =
      bytes <= ROOM_BYTES
        ? inner.subarray(0, BLOCK_BYTES + inner.write(payload, BLOCK_BYTES))
        : Buffer.concat([inner.subarray(0, BLOCK_BYTES), Buffer.from(payload)])
    hash('sha256', message, 'buffer').copy(outer, BLOCK_BYTES)
    return hash('sha256', outer.subarray(0, BLOCK_BYTES + DIGEST_BYTES), 'buffer').subarray(0, MAC_BYTES)
  }
}

/** A padded key, and room behind it for what is hashed with it. */
function withBlock(key: Buffer, pad: number): Buffer {
  return Buffer.concat([key.map(byte => byte ^ pad)], BLOCK_BYTES + ROOM_BYTES)
}

/** Only what we signed comes here, so the form is ours. */
function parseClaims(payload: string): PredictionClaims {
  const [route, variant, label, epoch, at, nonce] = JSON.parse(
    Buffer.from(payload, 'base64url').toString(),
  ) as [string, string, string, number, number, string]
  return { route, variant, label, epoch, at, nonce }
}
