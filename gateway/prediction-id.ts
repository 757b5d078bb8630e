import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto'
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
  const secret = createSecretKey(key, 'utf8')
  return {
    sign({ route, variant, label, epoch, at, nonce }) {
      const payload = Buffer.from(JSON.stringify([route, variant, label, epoch, at, nonce])).toString(
        'base64url',
      )
      return `${payload}.${macOf(secret, payload).toString('base64url')}`
    },
    read(id) {
      const [payload = '', mac = '', ...rest] = id.split('.')
      if (rest.length > 0) return undefined
      const given = Buffer.from(mac, 'base64url')
      if (given.length !== MAC_BYTES || !timingSafeEqual(given, macOf(secret, payload))) return undefined
      return parseClaims(payload)
    },
  }
}

function macOf(secret: KeyObject, payload: string): Buffer {
  return createHmac('sha256', secret).update(payload).digest().subarray(0, MAC_BYTES)
}

/** Only what we signed comes here, so the form is ours. */
function parseClaims(payload: string): PredictionClaims {
  const [route, variant, label, epoch, at, nonce] = JSON.parse(
    Buffer.from(payload, 'base64url').toString(),
  ) as [string, string, string, number, number, string]
  return { route, variant, label, epoch, at, nonce }
}
