import { z } from 'zod'
import { WeirError } from '../contract/errors.ts'
import { routePolicy, type RoutePolicy } from '../contract/policy.ts'
import { jsonRequest, type ClientOptions, type JsonAnswer } from './request.ts'

/** A policy and the version it has in the gateway's store. */
export interface PolicyView {
  readonly policy: RoutePolicy
  readonly version: number
}

export interface PatchedPolicy extends PolicyView {
  /** Every worker applies it. False: it is committed, and the workers that lag are being replaced. */
  readonly applied: boolean
}

const endpointStatus = z.object({
  endpoint: z.string(),
  variant: z.string(),
  state: z.enum(['up', 'out', 'trial']),
  /** Trials after an ejection that failed, in a row. */
  failedTrials: z.int(),
  reason: z.string().optional(),
})

const routeStatus = z.object({
  route: z.string(),
  version: z.number(),
  epoch: z.number(),
  workers: z.array(z.object({ worker: z.string(), version: z.number().nullable() })),
  endpoints: z.array(endpointStatus),
  /** Requests assigned by weight or sticky key since the gateway started. */
  assigned: z.record(z.string(), z.number()),
})
export type RouteStatus = z.infer<typeof routeStatus>

const versioned = z.object({ policy: routePolicy, version: z.number() })

export type GatewayClient = ReturnType<typeof createGatewayClient>

/** The gateway's operator API. Every call throws a WeirError with the answer's own code when it is refused. */
export function createGatewayClient(options: ClientOptions) {
  const request = jsonRequest(options)
  const path = (route: string) => `/v1/routes/${encodeURIComponent(route)}`
  return {
    async routes(): Promise<PolicyView[]> {
      const { body } = await request('GET', '/v1/routes')
      return z.object({ items: z.array(versioned) }).parse(body).items
    },
    async route(route: string): Promise<PolicyView> {
      const answer = await request('GET', path(route))
      return { policy: routePolicy.parse(answer.body), version: versionOf(answer) }
    },
    /** Creates a route, or replaces its policy. */
    async putRoute(route: string, policy: unknown): Promise<PatchedPolicy> {
      const answer = await request('PUT', path(route), { body: policy })
      const put = versioned.parse(answer.body)
      return { ...put, applied: answer.status !== 202 }
    },
    /** A JSON merge patch. With `ifMatch` only on that version: otherwise `precondition_failed`. */
    async patchRoute(
      route: string,
      patch: unknown,
      { ifMatch }: { readonly ifMatch?: number } = {},
    ): Promise<PatchedPolicy> {
      const headers = ifMatch === undefined ? {} : { 'if-match': `"${ifMatch}"` }
      const answer = await request('PATCH', path(route), { body: patch, headers })
      const { policy, version } = versioned.parse(answer.body)
      return { policy, version, applied: answer.status === 200 }
    },
    async status(route: string): Promise<RouteStatus> {
      return routeStatus.parse((await request('GET', `${path(route)}/status`)).body)
    },
    /** The Prometheus exposition, of one route or of all. */
    async metrics(route?: string): Promise<string> {
      const query = route === undefined ? '' : `?route=${encodeURIComponent(route)}`
      return z.string().parse((await request('GET', `/metrics${query}`)).body)
    },
    async readyz(): Promise<boolean> {
      try {
        return (await request('GET', '/readyz')).status === 200
      } catch (error) {
        if (error instanceof WeirError && (error.code === 'not_ready' || error.code === 'draining'))
          return false
        throw error
      }
    },
  }
}

function versionOf({ headers }: JsonAnswer): number {
  const version = Number(/^(?:W\/)?"(\d+)"$/.exec(headers.get('etag') ?? '')?.[1])
  if (Number.isInteger(version)) return version
  throw new WeirError('bad_gateway', 'the answer has no policy version (ETag)')
}
