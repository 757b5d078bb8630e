import type { Block } from '../evidence/blocks.ts'
import type { Tally } from '../evidence/tally.ts'
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
  const candidate = slowShare(block.candidate, atMostSeconds)
  const comparator = slowShare(block.comparator, atMostSeconds)
  if (!candidate || !comparator) return undefined
  const counts = {
    xc: candidate.events,
    nc: candidate.requests,
    xs: comparator.events,
    ns: comparator.requests,
  }
  return { t, seconds, weightsEpoch, counts }
}

/** Events among requests, of one variant. */
export interface Share {
  readonly events: number
  readonly requests: number
}

/** The candidate's side of a block. */
export function candidateShare(block: MetricBlock | undefined): Share | undefined {
  return block && { events: block.counts.xc, requests: block.counts.nc }
}

export function failureShare({ failures, requests }: Tally): Share | undefined {
  return failures === undefined ? undefined : { events: failures, requests }
}

export function slowShare({ durations }: Tally, atMostSeconds: number): Share | undefined {
  if (!durations || durations.total === 0) return undefined
  const within = durations.counts[firstBoundAtLeast(durations.bounds, atMostSeconds)]
  return within === undefined ? undefined : { events: durations.total - within, requests: durations.total }
}
