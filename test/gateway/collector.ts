import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { z } from 'zod'
import { eventually, upstream } from './harness.ts'

const attribute = z.object({
  key: z.string(),
  value: z.object({ stringValue: z.string().optional(), intValue: z.coerce.number().optional() }),
})
const attributes = z
  .array(attribute)
  .transform(list =>
    Object.fromEntries(list.map(({ key, value }) => [key, value.stringValue ?? value.intValue])),
  )
const span = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  name: z.string(),
  kind: z.number(),
  attributes,
  links: z.array(z.object({ spanId: z.string() })).default([]),
  status: z.object({ code: z.number().optional() }),
})
const exportRequest = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes }),
      scopeSpans: z.array(z.object({ spans: z.array(span) })),
    }),
  ),
})

export type ReceivedSpan = z.infer<typeof span>

interface CollectorOptions {
  /** How it answers; 200 unless told. */
  readonly answer?: (response: ServerResponse) => void
}

/** A receiver of OTLP over HTTP in its JSON encoding: https://opentelemetry.io/docs/specs/otlp/#otlphttp-request */
export async function startCollector(
  t: Test,
  { answer = response => response.end('{}') }: CollectorOptions = {},
) {
  const spans: ReceivedSpan[] = []
  const resources: Record<string, string | number | undefined>[] = []
  const requests: { readonly path: string | undefined; readonly headers: IncomingHttpHeaders }[] = []
  const { url } = await upstream(t, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      requests.push({ path: request.url, headers: request.headers })
      const { resourceSpans } = exportRequest.parse(JSON.parse(Buffer.concat(chunks).toString()))
      for (const { resource, scopeSpans } of resourceSpans) {
        resources.push(resource.attributes)
        spans.push(...scopeSpans.flatMap(scope => scope.spans))
      }
      answer(response)
    })
  })
  return {
    url,
    spans,
    resources,
    requests,
    named: (name: string) => spans.filter(received => received.name === name),
    received: (count: number) => eventually(() => spans.length >= count),
  }
}
