import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipelineSettings, type PipelineSettings } from '../../contract/pipeline.ts'
import { parseSettings, type ParsedSettings } from '../settings-file.ts'

/** What is kept of a pipeline is what somebody wrote, which is read again each time. */
export type ReadPipeline = ParsedSettings<PipelineSettings>

/** Reads MODEL/pipeline.yaml, if there is one. Throws `invalid_setting`, naming what is wrong. */
export async function readPipeline(modelsDir: string, model: string): Promise<ReadPipeline> {
  const file = join(modelsDir, model, 'pipeline.yaml')
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return '' // nobody wrote one: the defaults
    throw error
  })
  return parseSettings(pipelineSettings, text, file)
}
