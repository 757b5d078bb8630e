import type { Tally } from '../evidence/tally.ts'
import { failureShare, slowShare, type Share } from '../judge/metric-block.ts'
import type { Severity } from './notice.ts'
import type { WatchLimits } from './config.ts'
import { createShareAlarm, type Turn } from './share-alarm.ts'

/** What stable did and met since the last look; null where it is not known. */
export interface StableReading {
  readonly requests: Tally | null
  readonly drift: DriftReading | null
  /** Disagreements among pairs of live and mirrored answers. */
  readonly pairs: Share | null
}

/** The feature, or the label, that is furthest from the profile. */
export interface DriftReading {
  readonly feature: string
  readonly psi: number
  readonly samples: number
}

export const WATCHED = ['failing', 'slow', 'drifting', 'disagreeing'] as const
export type Watched = (typeof WATCHED)[number]

export const ALERTS: Readonly<Record<Watched, { readonly alert: string; readonly severity: Severity }>> = {
  failing: { alert: 'WeirStableFailing', severity: 'critical' },
  slow: { alert: 'WeirStableSlow', severity: 'warning' },
  drifting: { alert: 'WeirStableDrifting', severity: 'warning' },
  disagreeing: { alert: 'WeirDisagreement', severity: 'warning' },
}

export interface WatchTurn {
  readonly watched: Watched
  readonly turn: 'raise' | 'resolve'
  readonly summary: string
}

/** Which of its limits are watched. */
export function watchedBy({ successRate, latency, drift, agreement }: WatchLimits): ReadonlySet<Watched> {
  const given: Readonly<Record<Watched, unknown>> = {
    failing: successRate,
    slow: latency,
    drifting: drift,
    disagreeing: agreement,
  }
  return new Set(WATCHED.filter(watched => given[watched] !== undefined))
}

/** Watches one route's stable version, reading by reading. `firing`: what stands already. */
export function createStableWatch(limits: WatchLimits, firing: ReadonlySet<Watched>) {
  const alarm = (watched: Watched, limit: number) =>
    createShareAlarm({ limit, minSamples: limits.minSamples, firing: firing.has(watched) })
  const { successRate, latency, agreement, drift } = limits
  const failing = successRate && alarm('failing', 1 - successRate.atLeast)
  const slow = latency && alarm('slow', 1 - latency.quantile)
  const disagreeing = agreement && alarm('disagreeing', 1 - agreement.atLeast)
  let drifting = firing.has('drifting')

  function stepDrift(reading: DriftReading | null): readonly WatchTurn[] {
    if (!drift || !reading || reading.samples < limits.minSamples) return []
    const { psi, feature, samples } = reading
    if (drifting ? psi >= drift.resolveBelow : psi < drift.raiseAt) return []
    drifting = !drifting
    const summary = `${feature}: population stability index ${psi.toFixed(2)} over ${samples} images`
    const limit = drifting ? `raised at ${drift.raiseAt}` : `resolved below ${drift.resolveBelow}`
    return [{ watched: 'drifting', turn: drifting ? 'raise' : 'resolve', summary: `${summary}, ${limit}` }]
  }

  return {
    step({ requests, drift: driftReading, pairs }: StableReading): readonly WatchTurn[] {
      const failed = requests && failureShare(requests)
      const late = requests && latency && slowShare(requests, latency.atMostMs / 1000)
      return [
        ...tell('failing', failed ? failing?.step(failed) : null, failingWords(limits)),
        ...tell('slow', late ? slow?.step(late) : null, slowWords(limits)),
        ...stepDrift(driftReading),
        ...tell('disagreeing', pairs ? disagreeing?.step(pairs) : null, disagreeingWords(limits)),
      ]
    },
  }
}

function tell(
  watched: Watched,
  turn: Turn | null | undefined,
  words: (share: Share) => string,
): readonly WatchTurn[] {
  return turn ? [{ watched, turn: turn.turn, summary: words(turn.evidence) }] : []
}

function failingWords({ successRate }: WatchLimits) {
  return (share: Share) =>
    `${percentOf(share)} of ${share.requests} requests to stable failed, ${inPercent(1 - (successRate?.atLeast ?? 0))} are allowed`
}

function slowWords({ latency }: WatchLimits) {
  return (share: Share) =>
    `${percentOf(share)} of ${share.requests} requests to stable took over ${latency?.atMostMs} ms, ${inPercent(1 - (latency?.quantile ?? 0))} may`
}

function disagreeingWords({ agreement }: WatchLimits) {
  return (share: Share) =>
    `${percentOf(share)} of ${share.requests} mirrored answers disagree with stable's, ${inPercent(1 - (agreement?.atLeast ?? 0))} may`
}

function percentOf({ events, requests }: Share): string {
  return inPercent(events / requests)
}

function inPercent(fraction: number): string {
  return `${Number((fraction * 100).toPrecision(3))} %`
}
