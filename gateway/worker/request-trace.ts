import {
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Attributes,
  type Context,
  type Span,
  type Tracer,
} from '@opentelemetry/api'
import type { AttemptKind, Outcome } from '../../contract/metrics.ts'
import type { Choice } from './choose.ts'
import type { Incoming } from './forward.ts'
import type { Route } from './policy.ts'

// Names of attributes: https://opentelemetry.io/docs/specs/semconv/http/http-spans/; ours begin with `weir.`.

const CLIENT_CLOSED = 499

/** The span of one request that is sampled, from its head to the end of the answer. */
export class RequestTrace {
  readonly #tracer: Tracer
  readonly #span: Span
  readonly #context: Context
  readonly #method: string
  #chosen: string | undefined

  constructor(tracer: Tracer, parent: Context, { request, response, requestId }: Incoming) {
    this.#tracer = tracer
    this.#method = request.method ?? 'GET'
    this.#span = tracer.startSpan(this.#method, { kind: SpanKind.SERVER }, parent)
    this.#context = trace.setSpan(parent, this.#span)
    if (!this.sampled) return
    this.#span.setAttributes({
      'http.request.method': this.#method,
      'url.path': (request.url ?? '/').split('?', 1)[0],
      'url.scheme': 'http',
      ...addressOf(`http://${request.headers.host ?? ''}`),
      'weir.request_id': requestId,
    })
    response.once('close', () => {
      if (this.#chosen === undefined) this.end(response.headersSent ? response.statusCode : CLIENT_CLOSED)
    })
  }

  get sampled(): boolean {
    return this.#span.isRecording()
  }

  /** For what the gateway sends without a span of its own. */
  get traceparent(): string {
    return traceparentOf(this.#span)
  }

  /** The request goes to a variant; from now on `end` must be called. A request that is refused ends by itself. */
  routed({ name, policy, version }: Route, { variant, kind }: Choice, clientAddress: string): void {
    this.#chosen = variant
    const pattern = policy.match.pathPrefix
    this.#span.updateName(`${this.#method} ${pattern}`).setAttributes({
      'http.route': pattern,
      'client.address': clientAddress,
      'weir.route': name,
      'weir.policy_version': version,
      'weir.assignment': kind,
    })
  }

  /** `copyOf`: the attempt whose answer the mirror's is compared with. */
  attempt(variant: string, kind: AttemptKind, copyOf?: Span): AttemptTrace {
    const attributes: Attributes = {
      'http.request.method': this.#method,
      'weir.variant': variant,
      'weir.attempt.kind': kind,
    }
    const links = copyOf === undefined ? [] : [{ context: copyOf.spanContext() }]
    const options = { kind: SpanKind.CLIENT, attributes, links }
    return new AttemptTrace(this, this.#tracer.startSpan(`${kind} ${variant}`, options, this.#context))
  }

  /** `answeredBy`: the variant whose answer went out. */
  end(status: number, answeredBy?: string): void {
    this.#span.setAttribute('http.response.status_code', status)
    if (answeredBy !== undefined) this.#span.setAttribute('weir.variant', answeredBy)
    if (answeredBy !== undefined && answeredBy !== this.#chosen && this.#chosen !== undefined)
      this.#span.setAttribute('weir.fallback', this.#chosen)
    if (status >= 500) markError(this.#span, String(status))
    this.#span.end()
  }
}

/** The span of one attempt at one variant; the wait for the variant's limits is part of it. */
export class AttemptTrace {
  readonly #request: RequestTrace
  readonly #span: Span

  constructor(request: RequestTrace, span: Span) {
    this.#request = request
    this.#span = span
  }

  /** The request goes to the mirror as well, for its answer to be compared with this one. */
  copied(variant: string): AttemptTrace {
    return this.#request.attempt(variant, 'mirror', this.#span)
  }

  /** The headers for this endpoint: what it does on our behalf is part of this span. */
  sentTo(endpoint: string, headers: readonly string[]): string[] {
    this.#span.setAttributes(addressOf(endpoint))
    return withTraceparent(headers, traceparentOf(this.#span))
  }

  end(outcome: Outcome, reason: string, status: number | undefined): void {
    this.#span.setAttribute('weir.attempt.outcome', outcome)
    if (reason !== '') this.#span.setAttribute('weir.attempt.reason', reason)
    if (status !== undefined) this.#span.setAttribute('http.response.status_code', status)
    if (outcome === 'failure') markError(this.#span, reason)
    else if (outcome === 'client_error') markError(this.#span, String(status))
    this.#span.end()
  }
}

function markError(span: Span, type: string): void {
  span.setAttribute('error.type', type).setStatus({ code: SpanStatusCode.ERROR })
}

function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext()
  return `00-${traceId}-${spanId}-${traceFlags & TraceFlags.SAMPLED ? '01' : '00'}`
}

/** `headers` is flat, names at even places, and a value may well read "traceparent". */
function withTraceparent(headers: readonly string[], traceparent: string): string[] {
  return headers.map((text, index) =>
    index % 2 === 1 && headers[index - 1] === 'traceparent' ? traceparent : text,
  )
}

function addressOf(url: string): Attributes {
  if (!URL.canParse(url)) return {}
  const { protocol, hostname, port } = new URL(url)
  const usual = protocol === 'https:' ? 443 : 80
  return { 'server.address': hostname, 'server.port': port === '' ? usual : Number(port) }
}
