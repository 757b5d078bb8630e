import type { Look } from '../../contract/history.ts'
import { isCounted } from '../evidence/blocks.ts'
import { createCounters } from '../evidence/counters.ts'
import { sumTallies, type Tally } from '../evidence/tally.ts'
import { createCompletionWatch, type Missing } from './completion.ts'
import { createSampleRatio } from './sample-ratio.ts'

/** Fewer, or a smaller share, may be clients that left while they uploaded, which never become an attempt. */
const MISSING_REQUESTS = 10
const MISSING_SHARE = 0.05

/**
 * Is the traffic dealt as the weights say, and does what was dealt to the candidate come back? Where not, the counts mean
 * something else than they seem to: reasons to hold, none to withdraw. Not sticky. Silent on looks that do not tell.
 */
export function createSplitWatch({ settleSeconds }: { readonly settleSeconds: number }) {
  const grownBy = createCounters()
  const ratio = createSampleRatio()
  const missingOf = createCompletionWatch(settleSeconds)
  const weights = createWeightsAge()
  const total = { assigned: 0, completed: 0 }

  function stepRatio(look: Look, stable: Tally['flow'], candidate: Tally['flow']): void {
    const settled = weights(look) >= settleSeconds
    if (look.sticky === true || !settled || !stable || !candidate) return
    const { stable: ofStable = 0, candidate: ofCandidate = 0 } = look.weights
    const share = ofCandidate / (ofCandidate + ofStable)
    ratio.step({ candidate: candidate.assigned, stable: stable.assigned }, share)
  }

  return (look: Look): readonly string[] => {
    const tallies = tallyEach(look, grownBy)
    stepRatio(look, tallies.stable?.flow, tallies.candidate?.flow)
    const { candidate } = tallies
    total.assigned += candidate?.flow?.assigned ?? 0
    total.completed += candidate?.flow?.completed ?? 0
    const missing = missingOf({ t: look.t, ...total })
    return [
      ...(ratio.isMismatched() ? ['the gateway does not deal the traffic as the weights say'] : []),
      ...(isMuch(missing) ? [notCompleted(missing, settleSeconds)] : []),
    ]
  }
}

function tallyEach(look: Look, grownBy: ReturnType<typeof createCounters>) {
  const grown = look.series.filter(isCounted).map(one => ({ variant: one.variant, tally: grownBy(one) }))
  const of = (variant: string) => {
    const own = grown.flatMap(one => (one.variant === variant && one.tally ? [one.tally] : []))
    return own.length === 0 ? undefined : sumTallies(own)
  }
  return { stable: of('stable'), candidate: of('candidate') }
}

/** Seconds since the weights were last seen to change; the first look is no change. */
function createWeightsAge(): (look: Look) => number {
  let current: string | undefined
  let since = -Infinity
  return ({ t, weights }) => {
    const now = JSON.stringify(Object.entries(weights).toSorted())
    if (current !== undefined && now !== current) since = t
    current = now
    return t - since
  }
}

function isMuch({ requests, due }: Missing): boolean {
  return requests >= MISSING_REQUESTS && requests > due * MISSING_SHARE
}

function notCompleted({ requests, due }: Missing, withinSeconds: number): string {
  return `${requests} of ${due} requests given to the candidate did not end within ${withinSeconds} s`
}
