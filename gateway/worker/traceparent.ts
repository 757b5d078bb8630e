import { randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

const VALID = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** W3C trace context: passed on as it came, made when absent or malformed. Not sampled: who wants traces starts them. */
export function traceparentOf(headers: IncomingHttpHeaders): string {
  const incoming = incomingTraceparent(headers)
  if (incoming !== undefined) return incoming
  const bytes = randomIds()
  return `00-${bytes.slice(0, 32)}-${bytes.slice(32, 48)}-00`
}

/** The caller's own, if it is well formed. */
export function incomingTraceparent({ traceparent }: IncomingHttpHeaders): string | undefined {
  return typeof traceparent === 'string' && VALID.test(traceparent) ? traceparent : undefined
}

const IDS_AT_ONCE = 128
const HEX_PER_ID = 48
let pool = ''
let used = IDS_AT_ONCE

/** 24 random bytes as hex. Drawn many at a time: one call to the random source a request would cost more than the rest here. */
function randomIds(): string {
  if (used === IDS_AT_ONCE) {
    pool = randomBytes((IDS_AT_ONCE * HEX_PER_ID) / 2).toString('hex')
    used = 0
  }
  const start = used++ * HEX_PER_ID
  return pool.slice(start, start + HEX_PER_ID)
}
