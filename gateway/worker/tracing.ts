import { setTimeout as delay } from 'node:timers/promises'
import type { IncomingHttpHeaders } from 'node:http'
import { ROOT_CONTEXT, trace, TraceFlags, type SpanContext } from '@opentelemetry/api'
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
  type Resource,
} from '@opentelemetry/resources'
import { ParentBasedSampler, TraceIdRatioBasedSampler, TracerProvider } from '@opentelemetry/sdk-trace'
import type { Log } from '../../lib/log.ts'
import type { TraceSettings } from '../trace-settings.ts'
import type { Counters } from './counters.ts'
import type { Incoming } from './forward.ts'
import { RequestTrace } from './request-trace.ts'
import { createSpanQueue } from './span-queue.ts'
import { incomingTraceparent } from './traceparent.ts'

// Loaded only when traces are asked for: everybody else imports its types alone.

/** Spans of the requests of this worker, sent to a collector in the background. */
export interface Tracing {
  /** undefined: the request is not sampled. */
  start(incoming: Incoming): RequestTrace | undefined
  /** Sends what is waiting, as far as the time allows. */
  close(): Promise<void>
}

export interface TracingOptions {
  readonly settings: TraceSettings
  readonly log: Log
  readonly counters: Counters
}

const FLUSH_LIMIT_MS = 2000

export function createTracing({ settings, log, counters }: TracingOptions): Tracing {
  const { url, parentBased, ratio } = settings
  const root = new TraceIdRatioBasedSampler(ratio)
  const provider = new TracerProvider({
    resource: describeGateway(),
    sampler: parentBased ? new ParentBasedSampler({ root }) : root,
    spanProcessors: [createSpanQueue({ url, log, counters })],
  })
  const tracer = provider.getTracer('weir')
  // Asked first: the sampler would have the span's ids and context made before it refuses it.
  const mayBeSampled = (parent: SpanContext | undefined) =>
    parent !== undefined && parentBased ? parent.traceFlags !== TraceFlags.NONE : ratio > 0
  return {
    start(incoming) {
      const parent = parentOf(incoming.request.headers)
      if (!mayBeSampled(parent)) return undefined
      const context = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent)
      const started = new RequestTrace(tracer, context, incoming)
      return started.sampled ? started : undefined
    },
    async close() {
      const sent = provider.shutdown().then(
        () => true,
        () => true, // the queue has counted and told what the collector refused
      )
      const inTime = await Promise.race([sent, delay(FLUSH_LIMIT_MS, false, { ref: false })])
      if (!inTime) log.warn({ limitMs: FLUSH_LIMIT_MS }, 'the last traces could not be sent in time')
    },
  }
}

function parentOf(headers: IncomingHttpHeaders): SpanContext | undefined {
  const traceparent = incomingTraceparent(headers)
  if (traceparent === undefined) return undefined
  return {
    traceId: traceparent.slice(3, 35),
    spanId: traceparent.slice(36, 52),
    traceFlags: Number.parseInt(traceparent.slice(53), 16) & TraceFlags.SAMPLED,
    isRemote: true,
  }
}

/** OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over what we say of ourselves. */
function describeGateway(): Resource {
  return defaultResource()
    .merge(resourceFromAttributes({ 'service.name': 'weir-gateway', 'process.pid': process.pid }))
    .merge(detectResources({ detectors: [envDetector] }))
}
