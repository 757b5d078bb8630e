import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { WeirError } from '../../contract/errors.ts'
import { pipelineSettings, type PipelineSettings } from '../../contract/pipeline.ts'
import { describeIssues } from '../../lib/parse.ts'
import { describeProblem } from '../../lib/problem.ts'

/** A pipeline as somebody wrote it, and with its defaults. What is kept is the former, which is read again each time. */
export interface ReadPipeline {
  readonly source: unknown
  readonly settings: PipelineSettings
}

/** Reads MODEL/pipeline.yaml, if there is one. Throws `invalid_setting`, naming what is wrong. */
export async function readPipeline(modelsDir: string, model: string): Promise<ReadPipeline> {
  const file = join(modelsDir, model, 'pipeline.yaml')
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return '' // nobody wrote one: the defaults
    throw error
  })
  const source = parseYaml(text, file) ?? {}
  const parsed = pipelineSettings.safeParse(source)
  if (parsed.success) return { source, settings: parsed.data }
  throw new WeirError('invalid_setting', `${file}: ${describeIssues(parsed.error)}`)
}

function parseYaml(text: string, file: string): unknown {
  try {
    return parse(text)
  } catch (cause) {
    throw new WeirError('invalid_setting', `${file} is no YAML: ${describeProblem(cause)}`, { cause })
  }
}
