import type { z } from 'zod'
import { WeirError } from '../contract/errors.ts'
import { describeIssues } from '../lib/parse.ts'
import { readYaml } from '../lib/yaml.ts'

/** Settings as somebody wrote them, and with their defaults. */
export interface ParsedSettings<Settings> {
  readonly source: unknown
  readonly settings: Settings
}

/** Settings out of a file's text, where an empty one asks for the defaults. Throws `invalid_setting`, naming what is wrong. */
export function parseSettings<Schema extends z.ZodType>(
  schema: Schema,
  text: string,
  file: string,
): ParsedSettings<z.infer<Schema>> {
  const read = readYaml(text)
  if ('problem' in read) throw new WeirError('invalid_setting', `${file} is not YAML: ${read.problem}`)
  const source = read.value ?? {}
  const parsed = schema.safeParse(source)
  if (parsed.success) return { source, settings: parsed.data }
  throw new WeirError('invalid_setting', `${file}: ${describeIssues(parsed.error)}`)
}
