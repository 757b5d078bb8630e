import { z } from 'zod'
import {
  brokenVersion,
  modelSummary,
  modelVersion,
  modelVersionDetails,
  type Alias,
} from '../contract/registry.ts'
import type { JsonRequest } from './request.ts'

/** Gigabytes, to a disk that is written through. */
const UPLOAD_TIMEOUT_MS = 15 * 60_000
/** A registry elsewhere may have to be asked, or a version fetched from it, first. */
const READ_TIMEOUT_MS = 60_000

const summaries = z.object({ items: z.array(modelSummary) })
const versions = z.object({ items: z.array(modelVersion), broken: z.array(brokenVersion) })
const pointer = z.object({ model: z.string(), alias: z.string(), version: z.string().nullable() })

export interface AliasOptions {
  readonly reason?: string | undefined
  /** The version that it must point at until now. */
  readonly ifMatch?: string | undefined
}

/** What the controller's client can do with models. */
export function modelCalls(request: JsonRequest, actorHeader: Readonly<Record<string, string>>) {
  const path = (model: string) => `/v1/models/${encodeURIComponent(model)}`
  const get = async (where: string) => (await request('GET', where, { timeoutMs: READ_TIMEOUT_MS })).body
  return {
    models: async () => summaries.parse(await get('/v1/models')).items,
    /** `broken`: what lies in a version's place and cannot be used. */
    versions: async (model: string) => versions.parse(await get(`${path(model)}/versions`)),
    /** One version with its manifest. */
    modelVersion: async (model: string, version: string) =>
      modelVersionDetails.parse(await get(`${path(model)}/versions/${encodeURIComponent(version)}`)),
    /** `files` by their paths beside model.json, which is one of them. The same content again is `created: false`. */
    async registerVersion(model: string, files: ReadonlyMap<string, Blob>, version?: string) {
      const form = new FormData()
      for (const [name, content] of files) form.append(name, content)
      const query = version === undefined ? '' : `?${new URLSearchParams({ version })}`
      const answer = await request('POST', `${path(model)}/versions${query}`, {
        form,
        headers: actorHeader,
        timeoutMs: UPLOAD_TIMEOUT_MS,
      })
      return { ...modelVersion.parse(answer.body), created: answer.status === 201 }
    },
    /** May be repeated: where nothing is held against the version, nothing changes. */
    async clearFailure(model: string, version: string, reason: string) {
      const where = `${path(model)}/versions/${encodeURIComponent(version)}/clear-failure`
      const options = { body: { reason }, headers: actorHeader, timeoutMs: READ_TIMEOUT_MS }
      return modelVersion.parse((await request('POST', where, options)).body)
    },
    /** Only to a version that a model server is seen answering with; null takes the alias away. */
    async setAlias(
      model: string,
      alias: Alias,
      version: string | null,
      { reason, ifMatch }: AliasOptions = {},
    ) {
      const answer = await request('PUT', `${path(model)}/aliases/${alias}`, {
        body: { version, reason },
        headers: { ...actorHeader, ...(ifMatch === undefined ? {} : { 'if-match': `"${ifMatch}"` }) },
        timeoutMs: READ_TIMEOUT_MS,
      })
      return pointer.parse(answer.body)
    },
  }
}
