import type { Block } from '../evidence/blocks.ts'
import type { Histogram, Tally } from '../evidence/tally.ts'

/**
 * Where a process that has to wait makes all requests late that are with it, requests that come within `burstSeconds` of each
 * other may be late together, and count as one: of each variant as many remain as there are such times, if it has more. Both
 * kinds stay valid: of whole bursts each is one request that is late or not, and of requests that are late by themselves the
 * e-value shrinks, since a^(1/d) <= 1 + (a - 1)/d for d >= 1 (Jensen). d comes from the exposure alone, as all that the
 * judge weighs events with.
 */
export function thinDurations(block: Block, burstSeconds: number): Block {
  if (burstSeconds === 0) return block
  const thinned = (tally: Tally): Tally => {
    const { durations } = tally
    if (!durations) return tally
    const together = Math.max(1, (durations.total * burstSeconds) / block.seconds)
    return { ...tally, durations: dividedBy(durations, together) }
  }
  return { ...block, candidate: thinned(block.candidate), comparator: thinned(block.comparator) }
}

function dividedBy({ bounds, counts, total }: Histogram, divisor: number): Histogram {
  return { bounds, counts: counts.map(count => count / divisor), total: total / divisor }
}
