import type { Look, Series } from '../../contract/history.ts'
import { createCounters } from './counters.ts'
import { sumTallies, type Tally } from './tally.ts'

/** What happened between two looks that have counts of both variants. */
export interface Block {
  /** When it ended, and how long it was. */
  readonly t: number
  readonly seconds: number
  /** How often the weights had changed before it. */
  readonly weightsEpoch: number
  readonly candidate: Tally
  readonly comparator: Tally
}

export type BlockOutcome =
  | { readonly kind: 'block'; readonly block: Block }
  /** Nothing to learn from this look. */
  | { readonly kind: 'none'; readonly why: 'first' | 'no-data' | 'settling' | 'no-requests' }

export interface BlocksOptions {
  /** Counts this long after a weight change are left aside: requests sent under the old weights still complete. */
  readonly settleSeconds: number
  /** What the candidate is compared with: stable, a baseline of the candidate's size, or nothing (its tally is empty). */
  readonly comparator: string | null
}

/** Turns cumulative counters, look by look, into what happened between looks. */
export function createBlocks({ settleSeconds, comparator }: BlocksOptions): (look: Look) => BlockOutcome {
  const watchWeights = createWeightsWatch()
  const grownBy = createCounters()
  const tallyOf = (series: readonly Series[]) =>
    sumTallies(series.map(grownBy).filter(tally => tally !== undefined))
  let last: { readonly t: number; readonly epoch: number } | undefined

  return look => {
    const { epoch, since } = watchWeights(look)
    const candidateSeries = countedSeries(look, 'candidate')
    const comparatorSeries = comparator === null ? [] : countedSeries(look, comparator)
    const needed = comparator === null ? [candidateSeries] : [candidateSeries, comparatorSeries]
    if (needed.some(series => series.length === 0)) return none('no-data')
    // A clock that was set back: the block would have no length to divide by.
    if (last && look.t <= last.t) return none('no-data')

    const start = last
    last = { t: look.t, epoch }
    const tallies = { candidate: tallyOf(candidateSeries), comparator: tallyOf(comparatorSeries) }
    if (!start) return none('first')
    if (start.epoch !== epoch || look.t - since < settleSeconds) return none('settling')
    if (tallies.candidate.requests === 0) return none('no-requests')
    if (comparator !== null && tallies.comparator.requests === 0) return none('no-requests')
    return { kind: 'block', block: { t: look.t, seconds: look.t - start.t, weightsEpoch: epoch, ...tallies } }
  }
}

function none(why: Extract<BlockOutcome, { kind: 'none' }>['why']): BlockOutcome {
  return { kind: 'none', why }
}

/** Counts weight changes and when the last one was. Looks without counts are heard too; the first look is no change. */
function createWeightsWatch(): (look: Look) => { readonly epoch: number; readonly since: number } {
  let current: Look['weights'] | undefined
  let state = { epoch: 0, since: -Infinity }
  return ({ weights, t }) => {
    if (current && !sameWeights(current, weights)) state = { epoch: state.epoch + 1, since: t }
    current = weights
    return state
  }
}

function sameWeights(a: Look['weights'], b: Look['weights']): boolean {
  const variants = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...variants].every(variant => (a[variant] ?? 0) === (b[variant] ?? 0))
}

function countedSeries(look: Look, variant: string): readonly Series[] {
  return look.series.filter(series => series.variant === variant && isCounted(series))
}

/** Whether a series says a number everywhere; a NaN anywhere makes it absent from its look. */
export function isCounted(series: Series): boolean {
  const { requests, failures, clientErrors = 0, assigned = 0, completed = 0, buckets = [] } = series
  return (
    [requests, failures, clientErrors, assigned, completed].every(isCount) &&
    buckets.every(([, count]) => isCount(count))
  )
}

function isCount(value: number | null): boolean {
  return value !== null && Number.isFinite(value) && value >= 0
}
