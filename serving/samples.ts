import { readFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { modelManifest } from '../contract/model-manifest.ts'
import { sampleList } from '../contract/samples.ts'

export interface Sample {
  readonly name: string
  readonly label: string
  readonly path: string
}

/**
 * Photos for /test, in this order: those of the folder that was named, those beside the version's folder, the manifest's
 * reference image. Throws when a folder was named and has none.
 */
export async function findSamples(
  modelPath: string,
  samplesDir: string | undefined,
): Promise<readonly Sample[]> {
  if (samplesDir !== undefined) return readSampleList(samplesDir)
  const beside = join(dirname(resolve(modelPath)), 'samples')
  return readSampleList(beside).catch(() => referenceSample(modelPath))
}

async function readSampleList(folder: string): Promise<readonly Sample[]> {
  const list = sampleList.parse(JSON.parse(await readFile(join(folder, 'samples.json'), 'utf8')))
  return list.map(({ file, label }) => ({ name: file, label, path: join(folder, file) }))
}

async function referenceSample(modelPath: string): Promise<readonly Sample[]> {
  const text = await readFile(join(modelPath, 'model.json'), 'utf8').catch(() => undefined)
  if (text === undefined) return []
  const manifest = modelManifest.parse(JSON.parse(text))
  const reference = 'server' in manifest ? undefined : manifest.reference
  if (!reference) return []
  return [{ name: basename(reference.image), label: reference.label, path: join(modelPath, reference.image) }]
}
