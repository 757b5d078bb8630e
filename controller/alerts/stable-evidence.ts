import type { RoutePolicy } from '../../contract/policy.ts'
import type { Series } from '../../contract/history.ts'
import type { MetricName } from '../../contract/metrics.ts'
import type { GatewayClient } from '../../client/gateway.ts'
import { parseExposition, type Sample } from '../../lib/exposition.ts'
import { describeProblem } from '../../lib/problem.ts'
import { isCounted } from '../evidence/blocks.ts'
import { createCounters } from '../evidence/counters.ts'
import type { Evidence } from '../evidence/evidence.ts'
import { fetchText } from '../evidence/fetch-text.ts'
import { sumTallies, type Tally } from '../evidence/tally.ts'
import type { Share } from '../judge/metric-block.ts'
import type { DriftReading, StableReading } from './stable-watch.ts'

interface Sources {
  readonly evidence: Evidence
  readonly gateway: Pick<GatewayClient, 'metrics'>
}

interface Wanted {
  readonly drift: boolean
  readonly pairs: boolean
}

const COMPARISONS = 'weir_comparisons_total' satisfies MetricName
const DRIFT_LIMITS = { timeoutMs: 2000, maxBytes: 4 * 1024 ** 2 }

/** Reads what a route's stable did since the last reading. What cannot be read is null, with the reason in `problems`. */
export function createStableEvidence({ evidence, gateway }: Sources) {
  const grownBy = createCounters()

  async function requestsOf(route: string): Promise<Read<Tally>> {
    const result = await evidence.look(route)
    if (result.kind === 'no-data') return { value: null, problem: result.failed ? result.reason : null }
    return { value: grown(result.look.series.filter(({ variant }) => variant === 'stable')), problem: null }
  }

  async function pairsOf(route: string): Promise<Read<Share>> {
    try {
      const counted = grown(comparisonSeries(parseExposition(await gateway.metrics(route))))
      if (counted?.failures === undefined) return NOTHING
      return { value: { events: counted.failures, requests: counted.requests }, problem: null }
    } catch (error) {
      return { value: null, problem: describeProblem(error) }
    }
  }

  function grown(series: readonly Series[]): Tally | null {
    const tallies = series.filter(isCounted).flatMap(one => grownBy(one) ?? [])
    return tallies.length === 0 ? null : sumTallies(tallies)
  }

  return async (policy: RoutePolicy, wanted: Wanted) => {
    const [requests, drift, pairs] = await Promise.all([
      requestsOf(policy.name),
      wanted.drift ? driftOf(policy.variants['stable']?.endpoints ?? []) : NOTHING,
      wanted.pairs ? pairsOf(policy.name) : NOTHING,
    ])
    const reading: StableReading = { requests: requests.value, drift: drift.value, pairs: pairs.value }
    const problems = [requests, drift, pairs].flatMap(({ problem }) => problem ?? [])
    return { reading, problems }
  }
}

interface Read<Value> {
  readonly value: Value | null
  readonly problem: string | null
}

const NOTHING = { value: null, problem: null }

/** Pairs as requests and disagreements as failures, so that restarts of the gateway are understood in the same way. */
function comparisonSeries(samples: readonly Sample[]): readonly Series[] {
  const byVariant = new Map<string, Series>()
  for (const { name, labels, value } of samples) {
    const { variant, result } = labels
    if (name !== COMPARISONS || variant === undefined) continue
    const before = byVariant.get(variant)
    byVariant.set(variant, {
      id: 'pairs',
      variant,
      requests: (before?.requests ?? 0) + value,
      failures: (before?.failures ?? 0) + (result === 'disagree' ? value : 0),
    })
  }
  return [...byVariant.values()]
}

/** The feature that drifts most, each weighed over the endpoints by the images that it was measured on. */
async function driftOf(endpoints: readonly string[]): Promise<Read<DriftReading>> {
  const fetched = await Promise.all(
    endpoints.map(endpoint => fetchText(new URL('/metrics', endpoint), DRIFT_LIMITS)),
  )
  const problem = fetched.flatMap(one => (one.kind === 'failed' ? [one.reason] : [])).join('; ') || null
  try {
    const read = fetched.flatMap(one => (one.kind === 'text' ? [driftIn(parseExposition(one.text))] : []))
    return { value: worstOf(read), problem }
  } catch (error) {
    return { value: null, problem: describeProblem(error) }
  }
}

interface EndpointDrift {
  readonly samples: number
  readonly psi: ReadonlyMap<string, number>
}

function driftIn(samples: readonly Sample[]): EndpointDrift {
  const psi = samples.filter(({ name, value }) => name === 'weir_serving_psi' && Number.isFinite(value))
  const counted = samples.find(({ name }) => name === 'weir_serving_drift_samples')?.value ?? 0
  return {
    samples: Number.isFinite(counted) ? counted : 0,
    psi: new Map(psi.map(({ labels, value }) => [labels['feature'] ?? '', value])),
  }
}

function worstOf(endpoints: readonly EndpointDrift[]): DriftReading | null {
  const told = endpoints.filter(({ psi, samples }) => psi.size > 0 && samples > 0)
  const samples = told.reduce((sum, one) => sum + one.samples, 0)
  const features = new Set(told.flatMap(({ psi }) => [...psi.keys()]))
  const weighed = [...features].map(feature => {
    const weights = told.map(one => ((one.psi.get(feature) ?? 0) * one.samples) / samples)
    return { feature, samples, psi: weights.reduce((sum, part) => sum + part, 0) }
  })
  return weighed.toSorted((a, b) => b.psi - a.psi)[0] ?? null
}
