import { systemClock, type Clock } from '../../lib/clock.ts'
import { ExpositionError, parseExposition } from '../../lib/exposition.ts'
import type { Counted, Series } from '../../contract/history.ts'
import type { Evidence } from './evidence.ts'
import { fetchText } from './fetch-text.ts'
import { samplesToCounters, samplesToSeries } from './samples.ts'

export interface GatewayScrapeOptions {
  /** The gateways' operator addresses, such as http://127.0.0.1:8081. */
  readonly baseUrls: readonly string[]
  readonly clock?: Clock
  readonly timeoutMs?: number
}

const MAX_EXPOSITION_BYTES = 16 * 1024 ** 2

/** Reads the counters from the gateways themselves. One that does not answer is left out of this look, and said so. */
export function createGatewayScrape(options: GatewayScrapeOptions): Evidence {
  const { baseUrls, clock = systemClock, timeoutMs = 2000 } = options
  return {
    async look(route, beside = []) {
      const t = clock.now() / 1000
      const scrapes = await Promise.all(
        baseUrls.map(baseUrl => scrape({ baseUrl, route, timeoutMs, beside })),
      )
      const series = scrapes.flatMap(scrape => (scrape.kind === 'series' ? scrape.series : []))
      const counters = scrapes.flatMap(scrape => (scrape.kind === 'series' ? scrape.counters : []))
      const problems = scrapes.flatMap(scrape => (scrape.kind === 'failed' ? [scrape.reason] : []))
      if (series.length > 0)
        return {
          kind: 'look',
          look: { t, series, ...(beside.length > 0 && { counters }) },
          warnings: problems,
        }
      const reason = problems.join('; ') || `no requests to route ${route} counted yet`
      return { kind: 'no-data', reason, failed: problems.length > 0 }
    },
  }
}

type Scrape =
  | {
      readonly kind: 'series'
      readonly series: readonly Series[]
      readonly counters: readonly Counted[]
    }
  | { readonly kind: 'failed'; readonly reason: string }

async function scrape(options: {
  readonly baseUrl: string
  readonly route: string
  readonly timeoutMs: number
  readonly beside: readonly string[]
}): Promise<Scrape> {
  const { baseUrl, route, timeoutMs, beside } = options
  const url = new URL('/metrics', baseUrl)
  url.searchParams.set('route', route)
  const fetched = await fetchText(url, { timeoutMs, maxBytes: MAX_EXPOSITION_BYTES })
  if (fetched.kind === 'failed') return fetched
  // A gateway that was replaced behind the same address counts anew, under a new name.
  const id = fetched.headers.get('x-weir-instance') ?? baseUrl
  try {
    const samples = parseExposition(fetched.text)
    const whose = { route, idOf: () => id }
    return {
      kind: 'series',
      series: samplesToSeries(samples, whose),
      counters: samplesToCounters(samples, { ...whose, names: beside }),
    }
  } catch (error) {
    if (!(error instanceof ExpositionError)) throw error
    return { kind: 'failed', reason: `${url.origin}: not the exposition format, ${error.message}` }
  }
}
