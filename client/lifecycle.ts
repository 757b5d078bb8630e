import { z } from 'zod'
import { environmentView, type EnvironmentName, type PromoteBody } from '../contract/environment.ts'
import { pipelineView } from '../contract/pipeline.ts'
import type { JsonRequest } from './request.ts'

const environments = z.object({ items: z.array(environmentView) })
const pipelines = z.object({ items: z.array(pipelineView) })
/** A registry elsewhere may have to be asked, or a version fetched from it, first. */
const TIMEOUT_MS = 60_000

interface Precondition {
  /** The version that was seen; a newer one answers 412. */
  readonly ifMatch?: number | undefined
}

export interface PromoteOptions extends Precondition, Pick<PromoteBody, 'from' | 'version'> {
  readonly force?: boolean
  readonly reason?: string | undefined
}

export interface ReasonOptions extends Precondition {
  readonly reason?: string | undefined
}

export interface GatesOptions extends ReasonOptions {
  /** What is expected to run there. */
  readonly version?: string | undefined
}

export interface ApproveOptions extends ReasonOptions {
  /** Whose decision it is, where it is not the caller's. */
  readonly as?: string | undefined
}

export interface CancelOptions extends Precondition {
  readonly as?: string | undefined
  readonly reason: string
}

/** What the controller's client can do with environments and the pipeline. */
export function lifecycleCalls(request: JsonRequest, actorHeader: Readonly<Record<string, string>>) {
  const path = (name: EnvironmentName) => `/v1/environments/${name}`
  const runPath = (id: string) => `/v1/pipelines/${encodeURIComponent(id)}`
  async function post(where: string, body: unknown, ifMatch?: number): Promise<unknown> {
    const headers = { ...actorHeader, ...(ifMatch !== undefined && { 'if-match': `"${ifMatch}"` }) }
    return (await request('POST', where, { body, headers, timeoutMs: TIMEOUT_MS })).body
  }
  return {
    environments: async () => environments.parse((await request('GET', '/v1/environments')).body).items,
    environment: async (name: EnvironmentName) =>
      environmentView.parse((await request('GET', path(name))).body),
    /** Answers as soon as the deployment has begun. */
    promoteVersion: async (to: EnvironmentName, { ifMatch, ...body }: PromoteOptions) =>
      environmentView.parse(await post(`${path(to)}/promote`, body, ifMatch)),
    rollbackEnvironment: async (name: EnvironmentName, { ifMatch, ...body }: ReasonOptions = {}) =>
      environmentView.parse(await post(`${path(name)}/rollback`, body, ifMatch)),
    /** Answers as soon as they have begun; `gates` of the environment tells how they stand. */
    runGates: async (name: EnvironmentName, { ifMatch, ...body }: GatesOptions = {}) =>
      environmentView.parse(await post(`${path(name)}/gates`, body, ifMatch)),
    pipelines: async () => pipelines.parse((await request('GET', '/v1/pipelines')).body).items,
    pipeline: async (id: string) => pipelineView.parse((await request('GET', runPath(id))).body),
    startPipeline: async (model: string, version: string) =>
      pipelineView.parse(await post('/v1/pipelines', { model, version })),
    judgePipeline: async (
      id: string,
      verb: 'approve' | 'reject',
      { ifMatch, ...body }: ApproveOptions = {},
    ) => pipelineView.parse(await post(`${runPath(id)}/${verb}`, body, ifMatch)),
    /** May be repeated: what is cancelled stays so. */
    cancelPipeline: async (id: string, { ifMatch, ...body }: CancelOptions) =>
      pipelineView.parse(await post(`${runPath(id)}/cancel`, body, ifMatch)),
  }
}
