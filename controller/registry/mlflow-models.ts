import { z } from 'zod'
import { ALIASES, type Alias } from '../../contract/registry.ts'
import { MlflowRefusal, type MlflowApi } from './mlflow-api.ts'
import type { Aliases } from './registry.ts'

// MLflow's registered models, versions and runs, as far as the registry needs them.

const tags = z.array(z.object({ key: z.string(), value: z.string().default('') })).default([])

const version = z
  .object({
    name: z.string(),
    version: z.string(),
    creation_timestamp: z.coerce.number(),
    source: z.string().default(''),
    run_id: z.string().optional(),
    tags,
  })
  .transform(({ tags, ...found }) => ({ ...found, tags: new Map(tags.map(tag => [tag.key, tag.value])) }))
export type MlflowVersion = z.infer<typeof version>

const oneVersion = z.object({ model_version: version })
const versionPage = z.object({
  model_versions: z.array(version).default([]),
  next_page_token: z.string().optional(),
})
const model = z.object({
  name: z.string(),
  aliases: z.array(z.object({ alias: z.string(), version: z.string() })).default([]),
})
const oneModel = z.object({ registered_model: model })
const modelPage = z.object({
  registered_models: z.array(model).default([]),
  next_page_token: z.string().optional(),
})
const experiment = z.object({ experiment: z.object({ experiment_id: z.string() }) })
const newExperiment = z.object({ experiment_id: z.string() })
const run = z.object({ run: z.object({ info: z.object({ run_id: z.string(), artifact_uri: z.string() }) }) })
const nothing = z.unknown()

/** Where a version's files lie among its artifacts. */
export interface MlflowRun {
  readonly id: string
  readonly folder: string
}

const PAGE = '200'
const EXPERIMENT = 'weir'
const ABSENT = 'RESOURCE_DOES_NOT_EXIST'
const PRESENT = 'RESOURCE_ALREADY_EXISTS'

export type MlflowModels = ReturnType<typeof createMlflowModels>

export function createMlflowModels(api: MlflowApi) {
  async function experimentId(): Promise<string> {
    const byName = () => api.get('experiments/get-by-name', { experiment_name: EXPERIMENT }, experiment)
    const found = await unless(ABSENT, byName())
    if (found) return found.experiment.experiment_id
    const created = await unless(PRESENT, api.post('experiments/create', { name: EXPERIMENT }, newExperiment))
    return created?.experiment_id ?? (await byName()).experiment.experiment_id // somebody else was faster
  }

  async function deleteRun(id: string): Promise<void> {
    await unless(ABSENT, api.post('runs/delete', { run_id: id }, nothing))
  }

  return {
    async names(): Promise<string[]> {
      const pages = paged(token =>
        api.get('registered-models/search', { max_results: PAGE, ...token }, modelPage),
      )
      const names: string[] = []
      for await (const page of pages) names.push(...page.registered_models.map(({ name }) => name))
      return names
    },
    async versions(name: string): Promise<MlflowVersion[]> {
      const query = { filter: `name='${name}'`, max_results: PAGE }
      const found: MlflowVersion[] = []
      for await (const page of paged(token =>
        api.get('model-versions/search', { ...query, ...token }, versionPage),
      ))
        found.push(...page.model_versions)
      return found
    },
    async version(name: string, number: string): Promise<MlflowVersion | undefined> {
      const found = await unless(ABSENT, api.get('model-versions/get', { name, version: number }, oneVersion))
      return found?.model_version
    },
    /** Undefined: there is no such registered model. */
    async aliases(name: string): Promise<Aliases | undefined> {
      const found = await unless(ABSENT, api.get('registered-models/get', { name }, oneModel))
      if (found === undefined) return undefined
      const ours = found.registered_model.aliases.filter(({ alias }) => ALIASES.includes(alias as Alias))
      return Object.fromEntries(ours.map(({ alias, version }) => [alias, version]))
    },
    async setAlias(name: string, alias: Alias, number: string | null): Promise<void> {
      if (number === null) return api.remove('registered-models/alias', { name, alias })
      await api.post('registered-models/alias', { name, alias, version: number }, nothing)
    },
    async setTag(name: string, number: string, key: string, value: string): Promise<void> {
      await api.post('model-versions/set-tag', { name, version: number, key, value }, nothing)
    },
    async deleteTag(name: string, number: string, key: string): Promise<void> {
      await unless(ABSENT, api.remove('model-versions/delete-tag', { name, version: number, key }))
    },
    /** A version's files must lie among the artifacts of a run. */
    async startRun(name: string, startTime: number): Promise<MlflowRun> {
      const body = { experiment_id: await experimentId(), run_name: name, start_time: startTime }
      const { run_id: id, artifact_uri: artifacts } = (await api.post('runs/create', body, run)).run.info
      return { id, folder: `${artifacts}/model` }
    },
    async endRun(id: string, metrics: Readonly<Record<string, number>>, endTime: number): Promise<void> {
      const entries = Object.entries(metrics).map(([key, value]) => ({
        key,
        value,
        timestamp: endTime,
        step: 0,
      }))
      if (entries.length > 0) await api.post('runs/log-batch', { run_id: id, metrics: entries }, nothing)
      await api.post('runs/update', { run_id: id, status: 'FINISHED', end_time: endTime }, nothing)
    },
    /** The server chooses the number. */
    async createVersion(
      name: string,
      { id, folder }: MlflowRun,
      tags: Readonly<Record<string, string>>,
    ): Promise<string> {
      await unless(PRESENT, api.post('registered-models/create', { name }, nothing))
      const entries = Object.entries(tags).map(([key, value]) => ({ key, value }))
      const body = { name, source: folder, run_id: id, tags: entries }
      return (await api.post('model-versions/create', body, oneVersion)).model_version.version
    },
    /** With the run that has its files; `mlflow gc` then frees their place. */
    async deleteVersion({ name, version, run_id: run }: MlflowVersion): Promise<void> {
      if (run !== undefined && run !== '') await deleteRun(run)
      await unless(ABSENT, api.remove('model-versions/delete', { name, version }))
    },
    deleteRun,
    /** Where its files are. */
    async folderOf(name: string, number: string): Promise<string> {
      const uri = z.object({ artifact_uri: z.string() })
      return (await api.get('model-versions/get-download-uri', { name, version: number }, uri)).artifact_uri
    },
    upload: api.upload,
    download: api.download,
  }
}

async function unless<Result>(errorCode: string, work: Promise<Result>): Promise<Result | undefined> {
  return work.catch((error: unknown) => {
    if (error instanceof MlflowRefusal && error.errorCode === errorCode) return undefined
    throw error
  })
}

async function* paged<Page extends { next_page_token?: string | undefined }>(
  read: (token: { page_token?: string }) => Promise<Page>,
): AsyncGenerator<Page> {
  let token: string | undefined = ''
  do {
    const page: Page = await read(token === '' ? {} : { page_token: token })
    yield page
    token = page.next_page_token
  } while (token !== undefined && token !== '')
}
