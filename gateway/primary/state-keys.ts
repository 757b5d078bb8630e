import { randomBytes, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '../../lib/atomic-file.ts'

export interface StateKeys {
  /** Signs prediction ids. */
  readonly predictionKey: string
  /** Names this gateway in what it counts, over restarts. */
  readonly instance: string
}

/** What a state folder is given once and keeps. */
export async function readStateKeys(stateDir: string): Promise<StateKeys> {
  return {
    predictionKey: await readOrMake(join(stateDir, 'prediction-key'), () =>
      randomBytes(32).toString('base64url'),
    ),
    instance: await readOrMake(join(stateDir, 'gateway-instance'), () => `gw-${randomUUID().slice(0, 8)}`),
  }
}

const OWNER_ONLY = 0o600

async function readOrMake(path: string, make: () => string): Promise<string> {
  try {
    const text = (await readFile(path, 'utf8')).trim()
    if (text !== '') return text
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const made = make()
  await writeFileAtomic(path, `${made}\n`, OWNER_ONLY)
  return made
}
