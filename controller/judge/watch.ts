import type { Decision, Look } from '../../contract/history.ts'
import { createBlocks } from '../evidence/blocks.ts'
import { failureShare, slowShare } from './metric-block.ts'
import { createObjectives } from './objectives.ts'
import type { JudgeOptions } from './options.ts'

export interface Watch {
  step(look: Look): Decision
}

const NO_LIMITS = { failure: Infinity, latency: Infinity }
const MAX_E = 1e300

/**
 * Judges a candidate that has nothing to be compared with: the first version ever, or blue-green after the switch. Only
 * its absolute objectives apply, over a window; every decision says so.
 */
export function createWatch(options: JudgeOptions, { windowSeconds = 600 } = {}): Watch {
  const blocks = createBlocks({ settleSeconds: options.settleSeconds, comparator: null })
  const objectives = createObjectives(options)
  const threshold = 1 / options.alpha
  let begun: number | undefined
  let candidate = 0
  let withdrawn = false

  return {
    step(look) {
      begun ??= look.t
      const outcome = blocks(look)
      if (outcome.kind === 'block') {
        const tally = outcome.block.candidate
        const { latencyObjective } = options
        const slow = latencyObjective && slowShare(tally, latencyObjective.atMostSeconds)
        objectives.step({ failures: failureShare(tally), slow })
        candidate += tally.requests
      }
      const e = Math.min(MAX_E, Math.exp(objectives.logValue(NO_LIMITS)))
      withdrawn ||= e >= threshold
      const isOver = outcome.kind === 'block' && look.t - begun >= windowSeconds
      const action = withdrawn ? 'withdraw' : isOver ? 'advance' : 'hold'
      const cause = withdrawn ? 'absolute' : null
      const reason = `${REASONS[action]}; ${objectives.given ? NO_COMPARATOR : NO_OBJECTIVES}`
      return { t: look.t, action, e, threshold, cause, u: 1, exposure: { stable: 0, candidate }, reason }
    },
  }
}

const REASONS = {
  withdraw: 'withdrawn: the candidate misses its objective',
  advance: 'the watch is over',
  hold: 'watching',
} as const
const NO_COMPARATOR = 'there is no version to compare with, so only the absolute objectives apply'
const NO_OBJECTIVES = 'there is no version to compare with and no objective is set, so only the gates apply'
