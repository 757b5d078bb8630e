import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { routePolicy, type RoutePolicy } from '../../contract/policy.ts'
import { mergePatch } from '../../lib/merge-patch.ts'

/** What a variant did with the requests that it was given. */
export interface VariantCounts {
  assigned: number
  success: number
  failure: number
}

export interface SmallGateway {
  readonly url: string
  policy(): RoutePolicy
  version(): number
  counts(variant: string): VariantCounts
  /** Deals requests by the weights in force, or wrongly by others. */
  serve(requests: number, misbehaviour?: Misbehaviour): void
  /** Somebody else writes the policy. */
  write(patch: object): void
  /** How many PATCHes it obeyed. */
  writes(): number
  /** So many pairs of live and mirrored answers were compared, by result. */
  compare(pairs: Readonly<Record<string, number>>): void
  /** Another counter grows. */
  count(metric: string, labels: Readonly<Record<string, string>>, by: number): void
  /** An ejected variant, and how many of its trials failed. */
  ejected: { readonly variant: string; readonly failedTrials: number } | undefined
  /** Whether /metrics answers. */
  metricsUp: boolean
}

export interface Misbehaviour {
  /** The share of its requests that a variant fails. */
  readonly failing?: Readonly<Record<string, number>>
  /** A variant that answers none. */
  readonly hanging?: string
  /** Percent by variant, in place of the weights. */
  readonly dealtBy?: Readonly<Record<string, number>>
}

/** The operator API and /metrics of a gateway with one route, as a small real server without any workers. */
export async function startSmallGateway(t: Test, seed: object): Promise<SmallGateway> {
  let policy = routePolicy.parse(seed)
  let version = 1
  let writes = 0
  const counted = new Map<string, VariantCounts>()
  const counters = new Map<string, number>()
  const counts = (variant: string) => {
    const known = counted.get(variant) ?? { assigned: 0, success: 0, failure: 0 }
    counted.set(variant, known)
    return known
  }
  function write(patch: object): void {
    policy = routePolicy.parse(mergePatch(policy, patch))
    version += 1
  }
  async function patch(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const ifMatch = /^"(\d+)"$/.exec(request.headers['if-match'] ?? '')?.[1]
    if (ifMatch !== undefined && Number(ifMatch) !== version) return refuse(response, 412)
    write(JSON.parse(await textOf(request)) as object)
    writes += 1
    json(response, { policy, version })
  }

  const gateway: SmallGateway = {
    url: await listen(t, (request, response) => {
      const path = request.url?.split('?')[0] ?? ''
      if (path === '/metrics') {
        if (!gateway.metricsUp) return refuse(response, 500)
        return void response
          .setHeader('x-weir-instance', 'gw-0')
          .end(exposition(policy.name, counted) + linesOf(counters))
      }
      if (path === '/v1/routes') return json(response, { items: [{ policy, version }] })
      if (path === `/v1/routes/${policy.name}/status`)
        return json(response, statusOf(policy, version, gateway.ejected))
      if (path !== `/v1/routes/${policy.name}`) return refuse(response, 404)
      if (request.method === 'PATCH') return void patch(request, response)
      response.setHeader('etag', `"${version}"`)
      json(response, policy)
    }),
    policy: () => policy,
    version: () => version,
    writes: () => writes,
    counts,
    write,
    serve(requests, { failing = {}, hanging, dealtBy = policy.weights } = {}) {
      for (const [variant, weight] of Object.entries(dealtBy)) {
        const dealt = Math.round((requests * weight) / 100)
        const failures = Math.round(dealt * (failing[variant] ?? 0))
        const own = counts(variant)
        own.assigned += dealt
        if (variant === hanging) continue
        own.failure += failures
        own.success += dealt - failures
      }
    },
    compare(results) {
      for (const [result, by] of Object.entries(results))
        gateway.count('weir_comparisons_total', { variant: 'candidate', result }, by)
    },
    count(metric, labels, by) {
      const pairs = Object.entries({ route: policy.name, ...labels }).map(
        ([name, value]) => `${name}="${value}"`,
      )
      const series = `${metric}{${pairs.join(',')}}`
      counters.set(series, (counters.get(series) ?? 0) + by)
    },
    ejected: undefined,
    metricsUp: true,
  }
  return gateway
}

/** A server on a port of its own that closes itself. */
export async function listen(
  t: Test,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(handler)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

export function json(response: ServerResponse, body: unknown): void {
  response.setHeader('content-type', 'application/json').end(JSON.stringify(body))
}

function refuse(response: ServerResponse, status: number): void {
  const code = status === 412 ? 'precondition_failed' : 'internal'
  response.statusCode = status
  json(response, { error: { code, message: `answered ${status} on purpose` } })
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}

function statusOf(
  { name, variants }: RoutePolicy,
  version: number,
  ejected: SmallGateway['ejected'],
): object {
  const endpoints = Object.entries(variants).flatMap(([variant, { endpoints }]) =>
    endpoints.map(endpoint => ({
      endpoint,
      variant,
      ...(ejected?.variant === variant
        ? { state: 'out', failedTrials: ejected.failedTrials }
        : { state: 'up', failedTrials: 0 }),
    })),
  )
  return { route: name, version, epoch: version, workers: [], endpoints, assigned: {} }
}

function linesOf(counters: ReadonlyMap<string, number>): string {
  return [...counters].map(([series, value]) => `${series} ${value}\n`).join('')
}

function exposition(route: string, counted: ReadonlyMap<string, VariantCounts>): string {
  return [...counted]
    .flatMap(([variant, { assigned, success, failure }]) => {
      const labels = `route="${route}",variant="${variant}"`
      const requests = (outcome: string, count: number) =>
        `weir_requests_total{${labels},kind="split",outcome="${outcome}",reason=""} ${count}`
      return [
        `weir_assigned_total{${labels}} ${assigned}`,
        requests('success', success),
        requests('failure', failure),
      ]
    })
    .map(line => `${line}\n`)
    .join('')
}
