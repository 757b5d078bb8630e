import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { BatchSpanProcessor, type SpanExporter, type SpanProcessor } from '@opentelemetry/sdk-trace'
import type { Log } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Counters } from './counters.ts'

export interface SpanQueueOptions {
  readonly url: string
  readonly log: Log
  readonly counters: Counters
}

/** Waiting for the collector; what comes on top is dropped. */
const MAX_QUEUED = 2048
/** Small, because a batch is written as JSON in one go, in which no request is served. */
const BATCH = 64
const SEND_EVERY_MS = 1000
const SUCCESS = 0 // ExportResultCode of @opentelemetry/core

/**
 * Ended spans on their way to the collector. It may be slow or dead: the queue is bounded, every span that is lost is counted,
 * and the log says once that they are lost and once that they arrive again.
 */
export function createSpanQueue({ url, log, counters }: SpanQueueOptions): SpanProcessor {
  const countOf = (result: string) => counters.counter('weir_trace_spans_total', { result })
  const [exported, failed, dropped] = [countOf('exported'), countOf('failed'), countOf('dropped')]
  const exporter = new OTLPTraceExporter({ url, concurrencyLimit: MAX_QUEUED / BATCH + 1 })
  const collector = new URL(url).host // the rest of a URL may hold a key
  let queued = 0
  let losing = false

  function lose(reason: string): void {
    if (!losing) log.warn({ collector, reason }, 'traces are lost')
    losing = true
  }

  const watched: SpanExporter = {
    export(spans, done) {
      queued -= spans.length
      exporter.export(spans, result => {
        if (result.code === SUCCESS) {
          exported.add(spans.length)
          if (losing) log.info({ collector }, 'traces arrive again')
          losing = false
        } else {
          failed.add(spans.length)
          lose(describeProblem(result.error ?? 'the collector does not take them'))
        }
        done(result)
      })
    },
    shutdown: () => exporter.shutdown(),
  }
  const batches = new BatchSpanProcessor({
    exporter: watched,
    maxQueueSize: MAX_QUEUED,
    maxExportBatchSize: BATCH,
    scheduledDelayMillis: SEND_EVERY_MS,
  })
  return {
    onStart: (span, context) => batches.onStart(span, context),
    onEnd(span) {
      if (queued >= MAX_QUEUED) {
        dropped.add()
        return lose('the queue is full')
      }
      queued++
      batches.onEnd(span)
    },
    forceFlush: () => batches.forceFlush(),
    shutdown: () => batches.shutdown(),
  }
}
