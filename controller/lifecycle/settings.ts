import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { environmentSettings, type EnvironmentSettings } from '../../contract/environment.ts'
import { parseSettings } from '../settings-file.ts'

/** Reads environments.yaml in the state folder, if there is one. Throws `invalid_setting`, naming what is wrong. */
export async function readEnvironmentSettings(stateDir: string): Promise<EnvironmentSettings> {
  const file = join(stateDir, 'environments.yaml')
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '' // nobody wrote one: the defaults
    throw error
  })
  return parseSettings(environmentSettings, text, file).settings
}
