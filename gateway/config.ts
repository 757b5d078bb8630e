import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { WeirError } from '../contract/errors.ts'
import { gatewayConfig, type GatewayConfig } from '../contract/policy.ts'
import { describeIssues } from '../lib/parse.ts'
import { readYaml } from '../lib/yaml.ts'

export interface ReadConfig {
  readonly config: GatewayConfig
  /** Each route as it stands in the file, without defaults. */
  readonly written: readonly unknown[]
}

/** Reads the configuration; rejects in words, naming the file and the setting. */
export async function readConfig(path: string): Promise<ReadConfig> {
  const read = readYaml(await readFile(path, 'utf8'))
  if ('problem' in read) throw new WeirError('invalid_setting', `${path} is not YAML: ${read.problem}`)
  const document = read.value
  const parsed = gatewayConfig.safeParse(document)
  if (!parsed.success) throw new WeirError('invalid_setting', `${path}: ${describeIssues(parsed.error)}`)
  return { config: parsed.data, written: z.object({ routes: z.array(z.unknown()) }).parse(document).routes }
}
