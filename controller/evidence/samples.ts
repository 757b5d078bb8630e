import type { Counted, Series } from '../../contract/history.ts'
import type { MetricName } from '../../contract/metrics.ts'
import type { Sample } from '../../lib/exposition.ts'

export interface SamplesOptions {
  readonly route: string
  /** Which process counted a sample. */
  readonly idOf: (labels: Sample['labels']) => string
}

/**
 * The judge's series from a gateway's counters, however they were read. Only attempts of kind "split" count: by weight
 * or sticky key. A `dropped` attempt was given up by the client; it is neither a request nor a failure of the variant's.
 * An outcome that no sample names counts as 0; a variant that no sample names is absent. One that was only assigned to has
 * answered nothing: it may hang, and must be seen.
 */
export function samplesToSeries(samples: readonly Sample[], { route, idOf }: SamplesOptions): Series[] {
  const groups = new Map<string, Group>()
  for (const { name, labels, value } of samples) {
    const { variant } = labels
    if (variant === undefined || labels['route'] !== route) continue
    const group = groupOf(groups, idOf(labels), variant)
    if (name === REQUESTS && labels['kind'] === 'split') keep(group.requests, requestKey(labels), value)
    if (name === ASSIGNED) keep(group.assigned, '', value)
    if (name === DURATION_BUCKETS) keep(group.buckets, labels['le'] ?? '', value)
  }
  return [...groups.values()]
    .filter(({ requests, assigned }) => requests.size + assigned.size > 0)
    .map(toSeries)
}

/** Counters beside the judge's own, of one route, as they were read. */
export function samplesToCounters(
  samples: readonly Sample[],
  { route, idOf, names }: SamplesOptions & { readonly names: readonly string[] },
): Counted[] {
  return samples.flatMap(({ name, labels, value }) => {
    const { variant } = labels
    if (!names.includes(name) || variant === undefined || labels['route'] !== route) return []
    const own = Object.entries(labels).filter(([label]) => !SHARED_LABELS.has(label))
    return [{ id: idOf(labels), variant, name, labels: Object.fromEntries(own), value: orNull(value) }]
  })
}

/** What says whose a sample is; Prometheus adds where it was scraped. */
const SHARED_LABELS: ReadonlySet<string> = new Set(['route', 'variant', 'instance', 'job'])

export const REQUESTS = 'weir_requests_total' satisfies MetricName
export const ASSIGNED = 'weir_assigned_total' satisfies MetricName
export const DURATION_BUCKETS = 'weir_request_duration_seconds_bucket' satisfies `${MetricName}_bucket`

interface Group {
  readonly id: string
  readonly variant: string
  /** By outcome and reason. */
  readonly requests: Map<string, number>
  /** One count, by an empty key; none where the source does not tell. */
  readonly assigned: Map<string, number>
  /** By upper bound. */
  readonly buckets: Map<string, number>
}

function groupOf(groups: Map<string, Group>, id: string, variant: string): Group {
  const key = `${variant} ${id}`
  const group = groups.get(key) ?? {
    id,
    variant,
    requests: new Map(),
    assigned: new Map(),
    buckets: new Map(),
  }
  groups.set(key, group)
  return group
}

function requestKey(labels: Sample['labels']): string {
  return `${labels['outcome']} ${labels['reason'] ?? ''}`
}

/**
 * A process that two jobs scrape, or two Prometheus replicas behind one address, comes up twice. Its requests happened
 * once: the further of the two counts is kept. (NaN stays NaN.)
 */
function keep(counts: Map<string, number>, key: string, value: number): void {
  counts.set(key, Math.max(counts.get(key) ?? 0, value))
}

function toSeries({ id, variant, requests, assigned, buckets }: Group): Series {
  const failures = countOf(requests, 'failure')
  const clientErrors = countOf(requests, 'client_error')
  return {
    id,
    variant,
    requests: orNull(countOf(requests, 'success') + failures + clientErrors),
    failures: orNull(failures),
    clientErrors: orNull(clientErrors),
    ...(assigned.size > 0 && { assigned: orNull(sumOf(assigned)), completed: orNull(sumOf(requests)) }),
    ...(buckets.size > 0 && { buckets: toBuckets(buckets) }),
  }
}

function countOf(requests: ReadonlyMap<string, number>, outcome: string): number {
  let sum = 0
  for (const [key, count] of requests) if (key.startsWith(`${outcome} `)) sum += count
  return sum
}

function sumOf(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0)
}

function toBuckets(buckets: ReadonlyMap<string, number>): NonNullable<Series['buckets']> {
  return [...buckets]
    .map(([bound, count]) => ({ bound: toSeconds(bound), count: orNull(count) }))
    .toSorted((a, b) => a.bound - b.bound)
    .map(({ bound, count }) => [bound === Infinity ? '+Inf' : bound, count])
}

function toSeconds(bound: string): number {
  return bound === '+Inf' ? Infinity : Number(bound)
}

function orNull(count: number): number | null {
  return Number.isFinite(count) ? count : null
}
