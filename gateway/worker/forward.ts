import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { WeirError, type ErrorCode } from '../../contract/errors.ts'
import { inviteBody } from '../../lib/http-server.ts'
import type { PredictionIds } from '../prediction-id.ts'
import type { AccessLog } from './access-log.ts'
import { EMPTY_BODY, hasBody, KeptBody, type KeptMemory, type RequestBody } from './body.ts'
import type { BreachLog } from './breach-log.ts'
import { choose, type Choice, type Refusal } from './choose.ts'
import { clientFacts, type ClientFacts } from './client-address.ts'
import { Exchange } from './exchange.ts'
import { ambiguity, upstreamHeaders } from './headers.ts'
import type { Policy, Route } from './policy.ts'
import { isPredictionRequest } from './prediction-contract.ts'
import { sendError, sendErrorAndDrain } from './respond.ts'
import type { TimeLimits } from './time-limits.ts'
import { traceparentOf } from './traceparent.ts'
import type { RequestTrace } from './request-trace.ts'
import type { Tracing } from './tracing.ts'

export interface ForwarderOptions {
  readonly policy: Policy
  readonly ids: PredictionIds
  readonly memory: KeptMemory
  readonly accessLog: AccessLog
  readonly breachLog: BreachLog
  readonly isDraining: () => boolean
  readonly tracing: Tracing | undefined
  readonly wallClock: () => number
  readonly timeLimits: TimeLimits
}

/** A request as it came in at one listener. */
export interface Incoming {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** 0: the main listener. */
  readonly port: number
  readonly requestId: string
}

export interface Forwarder {
  forward(incoming: Incoming): void
  /** Requests that have not been answered yet. */
  inFlight(): number
}

/** The way of a request: route → policy → choose → forward → record. */
export function createForwarder(options: ForwarderOptions): Forwarder {
  const { policy, memory, accessLog, tracing } = options
  let inFlight = 0

  function forward(incoming: Incoming): void {
    const { request, response } = incoming
    const trace = tracing?.start(incoming)
    const trouble = ambiguity(request)
    if (trouble !== undefined) {
      const error = new WeirError('bad_request', trouble)
      return sendError(response, error, incoming.requestId, { close: true }) // what follows on it could be anything
    }
    const path = originForm(request.url ?? '/')
    if (path === undefined) return refuse(incoming, 'bad_request', 'the request target is not a path')
    const route = findRoute(incoming, path)
    if (route === undefined) return refuse(incoming, 'route_not_found', 'no route takes this request')
    const client = clientFacts(request, route.trustedProxies)
    const choice = chooseVariant(route, request, client)
    if (typeof choice === 'string') {
      route.countResponse(choice === 'route_closed' ? 503 : 404)
      const retryAfterSeconds = choice === 'route_closed' ? route.policy.closedRetryAfterSeconds : undefined
      return refuse(incoming, choice, whyRefused(choice, route, request), retryAfterSeconds)
    }
    if (Number(request.headers['content-length'] ?? 0) > route.policy.maxBodyBytes) {
      route.countResponse(413)
      return refuseUpload(response, incoming.requestId)
    }
    begin(incoming, { route, choice, client, path, trace })
  }

  function findRoute({ request, port }: Incoming, path: string): Route | undefined {
    const { routes, table } = policy.current()
    const query = path.indexOf('?')
    const name = table.match({
      port,
      host: request.headers.host ?? '',
      path: query === -1 ? path : path.slice(0, query),
      method: request.method ?? 'GET',
      headers: request.headers,
    })
    return name === undefined ? undefined : routes.get(name)
  }

  function begin(incoming: Incoming, matched: Matched): void {
    const { request, response, requestId } = incoming
    const { route, choice, client, path, trace } = matched
    const chosen = route.variants.get(choice.variant)
    if (chosen === undefined)
      return refuse(incoming, 'variant_not_found', whyRefused('variant_not_found', route, request))
    if (choice.kind === 'split') chosen.counts.assigned()
    trace?.routed(route, choice, client.clientAddress)
    inFlight++
    const startedAt = performance.now()
    const underContract =
      route.policy.contract === 'prediction' && isPredictionRequest(request.method ?? '', path)
    const body = hasBody(request) ? receive(incoming, route, () => exchange) : EMPTY_BODY
    const exchange: Exchange = new Exchange({
      route,
      request,
      response,
      body,
      requestId,
      path,
      chosen,
      kind: choice.kind,
      headers: upstreamHeaders(request, {
        ...client,
        requestId,
        traceparent: trace?.traceparent ?? traceparentOf(request.headers),
        uncompressed: underContract,
      }),
      underContract,
      setCookie: cookieFor(route, choice),
      ids: options.ids,
      wallClock: options.wallClock,
      timeLimits: options.timeLimits,
      isDraining: options.isDraining,
      trace,
      breachLog: options.breachLog,
      onDone(status, answeredBy) {
        inFlight--
        trace?.end(status, answeredBy)
        accessLog.write(route, {
          request,
          requestId,
          status,
          answeredBy,
          startedAt,
          client,
        })
      },
    })
    body.whenGathered(() => exchange.start())
  }

  function receive(
    { request, response, requestId }: Incoming,
    { policy }: Route,
    exchange: () => Exchange,
  ): RequestBody {
    inviteBody(request, response)
    return new KeptBody(request, {
      keepBytes: policy.replayMaxBytes,
      maxBytes: policy.maxBodyBytes,
      memory,
      onTooLarge() {
        exchange().abandon(413)
        refuseUpload(response, requestId)
      },
    })
  }

  return { forward, inFlight: () => inFlight }
}

interface Matched {
  readonly route: Route
  readonly choice: Choice
  readonly client: ClientFacts
  readonly path: string
  readonly trace: RequestTrace | undefined
}

function whyRefused(refusal: Refusal, { name, variants }: Route, { headers }: IncomingMessage): string {
  if (refusal === 'route_closed') return `route ${name} is closed: its weights sum to 0`
  const wanted = String(headers['x-weir-variant']).slice(0, 100)
  return `route ${name} has no variant "${wanted}"; it has ${[...variants.keys()].join(', ')}`
}

function refuse(
  { request, response, requestId }: Incoming,
  code: ErrorCode,
  message: string,
  retryAfterSeconds?: number,
): void {
  const error = new WeirError(code, message, retryAfterSeconds === undefined ? {} : { retryAfterSeconds })
  if (hasBody(request)) sendErrorAndDrain(response, error, requestId)
  else sendError(response, error, requestId)
}

function refuseUpload(response: ServerResponse, requestId: string): void {
  sendErrorAndDrain(response, new WeirError('body_too_large', 'the request body is too large'), requestId)
}

function chooseVariant({ dealer }: Route, { headers }: IncomingMessage, client: ClientFacts) {
  const override = headers['x-weir-variant']
  const facts = {
    override: override === undefined ? undefined : String(override),
    peerAddress: client.peerAddress,
    clientAddress: client.clientAddress,
    headers,
  }
  return choose(dealer, facts, () => randomBytes(12).toString('base64url'))
}

function cookieFor({ policy: { sticky } }: Route, { newCookie }: Choice): string | undefined {
  if (newCookie === undefined || !sticky || !('cookie' in sticky)) return undefined
  return `${sticky.cookie}=${newCookie}; Path=/; Max-Age=${sticky.maxAgeSeconds}; HttpOnly; SameSite=Lax`
}

/**
 * The path of a request target, without dot segments: the upstream would resolve them, and another route's path could come out.
 * The absolute form that proxies get is cut to it. `*` and the like have none.
 */
function originForm(target: string): string | undefined {
  if (target.startsWith('/')) return mayHoldDotSegments(target) ? withoutDotSegments(target) : target
  if (!/^https?:\/\//i.test(target) || !URL.canParse(target)) return undefined
  const { pathname, search } = new URL(target)
  return `${pathname}${search}`
}

function mayHoldDotSegments(target: string): boolean {
  return target.includes('/.') || target.includes('%2e') || target.includes('%2E')
}

/** RFC 3986 5.2.4, also for dots that are escaped. */
function withoutDotSegments(target: string): string {
  const end = target.indexOf('?')
  const path = end === -1 ? target : target.slice(0, end)
  const kept: string[] = []
  const segments = path.split('/').slice(1)
  for (const [index, segment] of segments.entries()) {
    const dots = segment.replaceAll(/%2e/gi, '.')
    if (dots === '..') kept.pop()
    if (dots !== '.' && dots !== '..') kept.push(segment)
    else if (index === segments.length - 1) kept.push('')
  }
  return `/${kept.join('/')}${end === -1 ? '' : target.slice(end)}`
}
