import { z } from 'zod'
import { readEnv } from '../lib/env.ts'

/** Where spans go and how many are made. */
export interface TraceSettings {
  /** Takes OTLP over HTTP. */
  readonly url: string
  /** A caller's own decision about its trace counts, where it sends one. */
  readonly parentBased: boolean
  /** Share of the other traces, 0 to 1. */
  readonly ratio: number
}

const SAMPLERS = ['always_on', 'always_off', 'traceidratio'] as const
const samplerName = z.enum([...SAMPLERS, ...SAMPLERS.map(name => `parentbased_${name}` as const)])
const url = z.url({ protocol: /^https?$/, error: 'must be an http or https URL' })

const whether = {
  OTEL_SDK_DISABLED: z.string().optional(),
  OTEL_TRACES_EXPORTER: z.string().optional(),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.string().optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: z.string().optional(),
}

const how = {
  OTEL_TRACES_EXPORTER: z.literal('otlp', 'must be otlp or none').optional(),
  OTEL_EXPORTER_OTLP_ENDPOINT: url.optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url.optional(),
  // Collectors take JSON where they take binary messages over HTTP; gRPC has a port of its own that would answer nothing.
  OTEL_EXPORTER_OTLP_PROTOCOL: z.enum(['http/json', 'http/protobuf']).optional(),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: z.enum(['http/json', 'http/protobuf']).optional(),
  OTEL_TRACES_SAMPLER: samplerName.default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number('must be a number, 0 to 1').min(0).max(1).default(1),
}

/**
 * The variables of https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ that decide about traces;
 * undefined: nobody asks for traces, and then the rest of them, which other programs may share, is not looked at. Headers,
 * time-outs, certificates and resource attributes are read by OpenTelemetry's own packages.
 */
export function readTraceSettings(
  env: Readonly<Record<string, string | undefined>>,
): TraceSettings | undefined {
  const asked = readEnv(whether, env)
  const endpoint = asked.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? asked.OTEL_EXPORTER_OTLP_ENDPOINT
  const disabled = asked.OTEL_SDK_DISABLED?.toLowerCase() === 'true' || asked.OTEL_TRACES_EXPORTER === 'none'
  if (endpoint === undefined || disabled) return undefined
  const settings = readEnv(how, env)
  const sampler = settings.OTEL_TRACES_SAMPLER
  return {
    url: settings.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? `${endpoint.replace(/\/$/, '')}/v1/traces`,
    parentBased: sampler.startsWith('parentbased_'),
    ratio: ratioOf(sampler, settings.OTEL_TRACES_SAMPLER_ARG),
  }
}

function ratioOf(sampler: z.infer<typeof samplerName>, argument: number): number {
  if (sampler.endsWith('always_off')) return 0
  return sampler.endsWith('traceidratio') ? argument : 1
}
