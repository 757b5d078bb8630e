import { createHmac, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { keptSecret } from '../../lib/kept-secret.ts'

interface Signed {
  readonly id: string
  readonly timestampSeconds: number
  readonly body: string
}

/**
 * The headers that prove where a message comes from, when it was sent and that it is as it was sent: Standard Webhooks, which
 * libraries of many languages verify. https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function signatureHeaders({ id, timestampSeconds, body }: Signed, secret: string) {
  const key = Buffer.from(secret.slice(PREFIX.length), 'base64')
  const signature = createHmac('sha256', key).update(`${id}.${timestampSeconds}.${body}`).digest('base64')
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': `v1,${signature}`,
  }
}

const PREFIX = 'whsec_'
const SECRET = /^whsec_[A-Za-z0-9+/]{32,}={0,2}$/

/** The secret of a state folder: made at the first start; a file put there before is taken as it is. */
export async function readSigningSecret(stateDir: string): Promise<string> {
  const path = join(stateDir, 'webhook-secret')
  const secret = await keptSecret(path, () => `${PREFIX}${randomBytes(32).toString('base64')}`)
  if (!SECRET.test(secret)) throw new Error(`${path} must be ${PREFIX} and at least 24 bytes in base64`)
  return secret
}
