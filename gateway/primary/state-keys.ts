import { randomBytes, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { keptSecret } from '../../lib/kept-secret.ts'

export interface StateKeys {
  /** Signs prediction ids. */
  readonly predictionKey: string
  /** Names this gateway in what it counts, over restarts. */
  readonly instance: string
}

/** What a state folder is given once and keeps. */
export async function readStateKeys(stateDir: string): Promise<StateKeys> {
  return {
    predictionKey: await keptSecret(join(stateDir, 'prediction-key'), () =>
      randomBytes(32).toString('base64url'),
    ),
    instance: await keptSecret(join(stateDir, 'gateway-instance'), () => `gw-${randomUUID().slice(0, 8)}`),
  }
}
