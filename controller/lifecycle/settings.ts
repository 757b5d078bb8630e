import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { environmentSettings, type EnvironmentSettings } from '../../contract/environment.ts'
import { WeirError } from '../../contract/errors.ts'
import { describeIssues } from '../../lib/parse.ts'
import { describeProblem } from '../../lib/problem.ts'

/** Reads environments.yaml in the state folder, if there is one. Throws `invalid_setting`, naming what is wrong. */
export async function readEnvironmentSettings(stateDir: string): Promise<EnvironmentSettings> {
  const file = join(stateDir, 'environments.yaml')
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '' // nobody wrote one: the defaults
    throw error
  })
  const parsed = environmentSettings.safeParse(parseYaml(text, file) ?? {})
  if (parsed.success) return parsed.data
  throw new WeirError('invalid_setting', `${file}: ${describeIssues(parsed.error)}`)
}

function parseYaml(text: string, file: string): unknown {
  try {
    return parse(text)
  } catch (cause) {
    throw new WeirError('invalid_setting', `${file} is no YAML: ${describeProblem(cause)}`, { cause })
  }
}
