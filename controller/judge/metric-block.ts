import type { Block } from '../evidence/blocks.ts'
import type { Histogram } from '../evidence/tally.ts'
import { firstBoundAtLeast } from './latency.ts'
import type { MetricBlock } from './temper.ts'

// One block as single metrics see it; undefined where the block did not count the metric, or not soundly.

export function failuresOf(block: Block): MetricBlock | undefined {
  return eventsOf(block, 'failures')
}

export function clientErrorsOf(block: Block): MetricBlock | undefined {
  return eventsOf(block, 'clientErrors')
}

function eventsOf(block: Block, kind: 'failures' | 'clientErrors'): MetricBlock | undefined {
  const { candidate, comparator, t, seconds, weightsEpoch } = block
  const xc = candidate[kind]
  const xs = comparator[kind]
  if (xc === undefined || xs === undefined) return undefined
  return { t, seconds, weightsEpoch, counts: { xc, nc: candidate.requests, xs, ns: comparator.requests } }
}

/** Requests slower than the smallest bound at or above `atMostSeconds`, on both sides. */
export function slowOf(block: Block, atMostSeconds: number): MetricBlock | undefined {
  const { t, seconds, weightsEpoch } = block
  const candidate = slowerThan(block.candidate.durations, atMostSeconds)
  const comparator = slowerThan(block.comparator.durations, atMostSeconds)
  if (!candidate || !comparator) return undefined
  const counts = {
    xc: candidate.events,
    nc: candidate.requests,
    xs: comparator.events,
    ns: comparator.requests,
  }
  return { t, seconds, weightsEpoch, counts }
}

function slowerThan(histogram: Histogram | undefined, seconds: number) {
  if (!histogram || histogram.total === 0) return undefined
  const within = histogram.counts[firstBoundAtLeast(histogram.bounds, seconds)]
  return within === undefined ? undefined : { events: histogram.total - within, requests: histogram.total }
}
