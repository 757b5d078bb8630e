import { z } from 'zod'
import { brokenRules, danglingTargets, type Contradiction } from './policy-targets.ts'
import { byteSize, percent } from './units.ts'

// The traffic policy of a route: what the gateway's configuration lists, its store keeps and its operator API takes. Every
// setting has its place and its default here. Defaults are filled in on reading, so what is stored is what somebody wrote.

const name = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?$/, 'must be lower-case letters, digits, hyphens')
export const headerName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'must be a header name')
  .transform(text => text.toLowerCase())
const token = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'must be a token')
const endpoint = z
  .string()
  .refine(isOrigin, 'must be an address such as http://127.0.0.1:9101, without a path')
  .transform(text => new URL(text).origin)
const addresses = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()])
const cidr = z
  .string()
  .refine(
    text => addresses.safeParse(text).success,
    'must be an address or a range such as 10.0.0.0/8 or fd00::/8',
  )
const milliseconds = z.int().min(1).max(86_400_000)
const count = z.int().min(0).max(1_000_000)

/** Which requests belong to the route; the most specific match wins, two alike are refused. */
const match = z.strictObject({
  pathPrefix: z.string().startsWith('/').max(1024).default('/'),
  host: z
    .string()
    .regex(/^(\*\.)?[a-z0-9.:[\]-]+$/i, 'must be a host name; *.example.org takes every name below')
    .transform(text => text.toLowerCase())
    .optional(),
  /** A listener of its own. */
  port: z.int().min(1).max(65_535).optional(),
  method: z
    .union([token, z.array(token).min(1)])
    .transform(value => [value].flat().map(text => text.toUpperCase()))
    .optional(),
  /** Exact values, all of which a request must carry. */
  headers: z.record(headerName, z.string().max(1024)).optional(),
})

const variant = z.strictObject({
  endpoints: z.array(endpoint).max(1000),
  /** Over the whole gateway; each of N workers holds 1/N. */
  maxInFlight: z.int().min(1).max(1_000_000).default(1024),
  maxQueued: count.default(256),
})

const salt = z.string().min(1).max(200).optional()
const sticky = z.union([
  z.strictObject({ header: headerName, salt }),
  z.strictObject({ cookie: token, salt, maxAgeSeconds: count.default(31_536) }),
  z.strictObject({ clientAddress: z.literal(true), salt }),
])

/** Requests that carry this header with this value go to this variant, at any weight. */
const headerRoute = z.strictObject({ header: headerName, value: z.string().min(1).max(1024), to: name })

/** One item of a header, in lower case. */
export const headerValue = z
  .string()
  .regex(/^[^\s,;-][^\s,;]{0,127}$/, 'must be one value, without spaces, commas and semicolons')
  .transform(text => text.toLowerCase())
/**
 * Who is dealt to which variant by what they are, such as their language; counted as split, like weights and sticky key. A value
 * fits the header's first item, whole or up to a hyphen, in upper or lower case: `de` fits `de-AT,en;q=0.5`.
 */
const splitBy = z.strictObject({
  header: headerName,
  rules: z
    .array(
      z.strictObject({
        values: z.array(headerValue).min(1).max(100),
        to: name,
      }),
    )
    .min(1)
    .max(20),
})
export type SplitBy = z.infer<typeof splitBy>

const mirror = z.strictObject({
  to: name,
  percent: percent.default(0),
  maxInFlight: count.default(32),
  maxBytes: byteSize.default(64 * 1024 ** 2),
  timeoutMs: milliseconds.default(10_000),
  /** Of stable's requests, sent to stable again: how much two answers differ when nothing changed. */
  noiseFloorPercent: percent.default(0),
  /** Of the comparisons, kept as records that the operator can read; at most 50 a second of each result and worker. */
  recordPercent: percent.default(100),
  /** Records hold a digest of the input; the input itself only when asked for. */
  recordInputs: z.boolean().default(false),
})

export const FALLBACK_REASONS = ['connect', 'reset', 'timeout', 'overload', '5xx', 'invalid'] as const
export type FailureReason = (typeof FALLBACK_REASONS)[number]

const fallback = z.strictObject({
  to: name,
  on: z
    .array(z.enum(FALLBACK_REASONS))
    .min(1)
    .default([...FALLBACK_REASONS]),
})

const hedge = z.strictObject({
  to: name,
  /** The other variant is asked as well once the answer takes longer than this quantile of that variant's answers. */
  quantile: z.number().gt(0).lt(1).default(0.95),
  /** Answers of that variant needed before its quantile means something. */
  minSamples: z.int().min(10).max(10_000).default(100),
})

const retry = z.strictObject({
  /** More tries at other endpoints of the same variant. */
  attempts: z.int().min(0).max(5).default(1),
  /** Retries allowed as a share of requests, and at least so many a second. */
  budgetPercent: percent.default(20),
  minPerSecond: count.default(3),
})

const ejection = z.strictObject({
  /** 0 turns ejection off. */
  consecutiveFailures: count.default(5),
  baseMs: milliseconds.default(10_000),
  maxMs: milliseconds.default(300_000),
})

const probe = z.strictObject({
  enabled: z.boolean().default(true),
  /** Any answer below 500 is healthy. */
  path: z.string().startsWith('/').default('/readyz'),
  intervalMs: milliseconds.default(2000),
  timeoutMs: milliseconds.default(1000),
  unhealthyAfter: z.int().min(1).max(100).default(3),
})

const route = z.strictObject({
  name,
  match: match.prefault({}),
  variants: z.record(name, variant),
  /** Percent per variant, two decimals; they sum to 100, or to 0 for a closed route. */
  weights: z.record(name, percent),
  sticky: sticky.optional(),
  /** Told with every answer as x-weir-notice, such as of an interruption to come. */
  notice: z
    .string()
    .max(500)
    .regex(/^[\x20-\x7e]+$/, 'must be printable ASCII, as headers are')
    .optional(),
  /** What a closed route (all weights 0) tells clients in Retry-After. */
  closedRetryAfterSeconds: z.int().min(1).max(86_400).default(5),
  /** Before sticky key and weights, the first that fits; counted as overrides, so that chosen users sway no evidence. */
  headerRoutes: z.array(headerRoute).max(20).default([]),
  /** After header routes, before sticky key and weights, which deal everybody whom it does not name. */
  splitBy: splitBy.optional(),
  contract: z.enum(['prediction', 'none']).default('prediction'),
  mirror: mirror.optional(),
  fallback: fallback.optional(),
  hedge: hedge.optional(),
  retry: retry.prefault({}),
  override: z.strictObject({ from: z.array(cidr) }).prefault({ from: ['127.0.0.0/8', '::1'] }),
  /** Whose X-Forwarded-For is believed. */
  trustedProxies: z.array(cidr).default([]),
  idempotent: z.boolean().default(false),
  timeoutMs: milliseconds.default(10_000),
  deadlineMs: milliseconds.optional(),
  connectTimeoutMs: milliseconds.default(1000),
  maxBodyBytes: byteSize.default(32 * 1024 ** 2),
  /** A longer request body is not kept, so it can be neither replayed nor mirrored. */
  replayMaxBytes: byteSize.default(16 * 1024 ** 2),
  feedback: z
    .strictObject({ expiresMs: z.int().min(1000).max(2_592_000_000).default(86_400_000) })
    .prefault({}),
  ejection: ejection.prefault({}),
  probe: probe.prefault({}),
  accessLog: z.strictObject({ samplePercent: percent.default(0) }).prefault({}),
})

/** A route's policy, defaults filled in. Cross-checks name the setting at fault. */
export const routePolicy = route.superRefine((policy, context) => {
  for (const { path, message } of findContradictions(policy))
    context.addIssue({ code: 'custom', path, message, input: policy })
})
export type RoutePolicy = z.infer<typeof route>

/** The file of `weir gateway --config`. */
export const gatewayConfig = z
  .strictObject({
    routes: z.array(routePolicy).max(100_000),
    /** Signs prediction ids; by default a key of its own in the state folder. Gateways that share one accept each other's. */
    predictionKey: z.string().min(32).optional(),
  })
  .superRefine((config, context) => {
    for (const message of findDuplicates(config.routes))
      context.addIssue({ code: 'custom', path: ['routes'], message, input: config })
  })
export type GatewayConfig = z.infer<typeof gatewayConfig>

/** All attempts of one request together. */
export function deadlineMs(policy: RoutePolicy): number {
  return policy.deadlineMs ?? Math.round(policy.timeoutMs * 2.5)
}

/** Weights in hundredths of a percent, the unit in which everything inside counts. */
export function weightsBp(policy: {
  readonly weights: Readonly<Record<string, number>>
}): Record<string, number> {
  return Object.fromEntries(
    Object.entries(policy.weights).map(([name, value]) => [name, Math.round(value * 100)]),
  )
}

/** Two routes that would take exactly the same requests, or bear the same name. */
function findDuplicates(routes: readonly RoutePolicy[]): string[] {
  const names = new Set<string>()
  const matches = new Map<string, string>()
  const found: string[] = []
  for (const { name, match } of routes) {
    if (names.has(name)) found.push(`two routes are called "${name}"`)
    names.add(name)
    for (const key of matchKeys(match)) {
      const other = matches.get(key)
      if (other !== undefined && other !== name)
        found.push(`routes "${other}" and "${name}" match the same requests`)
      matches.set(key, name)
    }
  }
  return [...new Set(found)]
}

/** Routes that have one of these in common would take exactly the same requests. */
export function matchKeys({
  host = '',
  port = 0,
  pathPrefix,
  method = [''],
  headers = {},
}: RoutePolicy['match']): string[] {
  const wanted = Object.entries(headers).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return method.map(verb => JSON.stringify([host, port, normalPrefix(pathPrefix), verb, wanted]))
}

/** "/a/" and "/a" take the same paths. */
export function normalPrefix(pathPrefix: string): string {
  return pathPrefix.length > 1 && pathPrefix.endsWith('/') ? pathPrefix.slice(0, -1) : pathPrefix
}

function findContradictions(policy: RoutePolicy): Contradiction[] {
  const sum = Object.values(weightsBp(policy)).reduce((total, bp) => total + bp, 0)
  const found: Contradiction[] = []
  if (sum !== 0 && sum !== 10_000)
    found.push({ path: ['weights'], message: `must sum to 100 (or 0: closed), not ${sum / 100}` })
  for (const [name, weight] of Object.entries(policy.weights)) {
    if (!(name in policy.variants))
      found.push({ path: ['weights', name], message: 'there is no such variant' })
    else if (weight > 0 && policy.variants[name]?.endpoints.length === 0)
      found.push({ path: ['weights', name], message: 'the variant has no endpoint' })
  }
  return [...found, ...danglingTargets(policy), ...brokenRules(policy)]
}

function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  return /^https?:$/.test(url.protocol) && url.pathname === '/' && url.search === '' && url.username === ''
}
