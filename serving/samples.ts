import { readFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { WeirError } from '../contract/errors.ts'
import { modelManifest } from '../contract/model-manifest.ts'
import { sampleList } from '../contract/samples.ts'

export interface Sample {
  readonly name: string
  readonly label: string
  readonly path: string
}

/**
 * Photos for /test, in this order: those of the folder that was named, those beside the version's folder, the manifest's
 * reference image. Throws `not_found`, with a sentence that names the problem and not the folder, when they cannot be read.
 */
export async function findSamples(
  modelPath: string,
  samplesDir: string | undefined,
): Promise<readonly Sample[]> {
  if (samplesDir !== undefined) return readSampleList(samplesDir)
  const beside = join(dirname(resolve(modelPath)), 'samples')
  return readSampleList(beside).catch((error: WeirError) => {
    if (isAbsence(error.cause)) return referenceSample(modelPath)
    throw error
  })
}

/** The photo itself. Throws `not_found` as well. */
export async function readSample({ name, path }: Sample): Promise<Uint8Array> {
  return readFile(path).catch((cause: unknown) => {
    throw new WeirError('not_found', `the sample ${name} cannot be read`, { cause })
  })
}

const isAbsence = (cause: unknown) =>
  ['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '')

async function readSampleList(folder: string): Promise<readonly Sample[]> {
  try {
    const list = sampleList.parse(JSON.parse(await readFile(join(folder, 'samples.json'), 'utf8')))
    return list.map(({ file, label }) => ({ name: file, label, path: join(folder, file) }))
  } catch (cause) {
    const problem = isAbsence(cause) ? 'cannot be found' : 'is no list of {"file","label"}, or cannot be read'
    throw new WeirError('not_found', `samples.json ${problem}`, { cause })
  }
}

async function referenceSample(modelPath: string): Promise<readonly Sample[]> {
  const text = await readFile(join(modelPath, 'model.json'), 'utf8').catch(() => undefined)
  if (text === undefined) return []
  const manifest = modelManifest.parse(JSON.parse(text))
  const reference = 'server' in manifest ? undefined : manifest.reference
  if (!reference) return []
  return [{ name: basename(reference.image), label: reference.label, path: join(modelPath, reference.image) }]
}
