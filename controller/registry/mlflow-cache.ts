import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { WeirError } from '../../contract/errors.ts'
import { readContent, readManifest } from './content.ts'
import type { MlflowModels } from './mlflow-models.ts'
import type { ModelFolder } from './model-folder.ts'
import type { ModelVersion } from './registry.ts'
import { storageFull } from './storage-full.ts'

/** Folders with the files of versions that an MLflow server keeps; each is verified whenever it is asked for. */
export function createMlflowCache(folder: ModelFolder, mlflow: MlflowModels) {
  const underWay = new Map<string, Promise<string>>()

  async function holds({ model, version, digest }: ModelVersion): Promise<boolean> {
    try {
      const { manifest } = await readContent(folder.folderOf(model, version))
      return manifest.digest === digest
    } catch (error) {
      if (error instanceof WeirError) return false // missing, or damaged: it is fetched anew
      throw error
    }
  }

  async function put(
    arriving: string,
    { model, version }: Pick<ModelVersion, 'model' | 'version'>,
  ): Promise<string> {
    if (!(await folder.place(arriving, model, version))) {
      await folder.withdraw(model, version)
      await folder.place(arriving, model, version)
    }
    return folder.folderOf(model, version)
  }

  async function download(wanted: ModelVersion, name: string): Promise<string> {
    const from = await mlflow.folderOf(name, wanted.version)
    const arriving = await folder.begin()
    try {
      await mlflow.download(from, 'model.json', join(arriving, 'model.json'))
      const { files } = await readManifest(arriving)
      for (const file of files) {
        await mkdir(dirname(join(arriving, file)), { recursive: true })
        await mlflow.download(from, file, join(arriving, file))
      }
      const { manifest } = await readContent(arriving)
      if (manifest.digest === wanted.digest) return await put(arriving, wanted)
      const { model, version, digest } = wanted
      const message = `MLflow has other content as version ${version} of ${model}: ${manifest.digest}, registered as ${digest}`
      throw new WeirError('digest_mismatch', message)
    } catch (error) {
      throw error instanceof Error ? storageFull(error) : error
    } finally {
      await folder.drop(arriving)
    }
  }

  return {
    put,
    /** What was fetched once and is undamaged; for the time that the server is away. */
    async kept(model: string, version: string): Promise<string | undefined> {
      const kept = folder.folderOf(model, version)
      return readContent(kept).then(
        () => kept,
        () => undefined, // missing or damaged alike: there is nothing to serve
      )
    },
    async fetch(wanted: ModelVersion, name: string): Promise<string> {
      const key = `${wanted.model}/${wanted.version}`
      const running = underWay.get(key)
      if (running) return running
      const work = holds(wanted).then(isThere =>
        isThere ? folder.folderOf(wanted.model, wanted.version) : download(wanted, name),
      )
      const fetched = work.finally(() => underWay.delete(key))
      underWay.set(key, fetched)
      return fetched
    },
  }
}
