import { expectedLines, requestsNeeded, type Line, type Standing } from './forecast.ts'

/** A weight at which a rollout stays until the evidence, the clock and a number of requests allow more. */
export interface Stage {
  readonly weightPercent: number
  /** The excess that must be ruled out, a fraction; null where none has to be. */
  readonly excess: number | null
  readonly minSeconds: number
  readonly minCandidateRequests: number
}

export interface Climber {
  /** The candidate's weight now. */
  readonly weightPercent: number
  /** Each gating metric: where it stands, and how often its event is expected, on both sides. */
  readonly metrics: readonly { readonly standing: Standing; readonly rate: number }[]
  /** To the route, all variants together. */
  readonly requestsPerSecond: number
  /** What the candidate is compared with gets this, percent, beside so much of the candidate; all the rest where absent. */
  readonly comparatorPercent?: ((candidatePercent: number) => number) | undefined
  readonly settleSeconds: number
  readonly intervalSeconds: number
}

/**
 * How long a candidate that is as good as stable takes through all stages, in seconds; Infinity where this traffic never
 * shows enough. Evidence adds up over the stages, as it does in the judge.
 */
export function climbSeconds(stages: readonly Stage[], climber: Climber): number {
  let metrics = climber.metrics
  let weightPercent = climber.weightPercent
  let seconds = 0
  for (const stage of stages) {
    const settling = stage.weightPercent === weightPercent ? 0 : climber.settleSeconds
    const counting = Math.max(countingSeconds(stage, metrics, climber), stage.minSeconds - settling)
    if (counting === Infinity) return Infinity
    metrics = withEvidence(stage, { ...climber, metrics }, counting)
    weightPercent = stage.weightPercent
    seconds += settling + counting + climber.intervalSeconds / 2 // looks find it out half an interval later
  }
  return seconds
}

/** Without requests of the candidate's there is none. */
function withEvidence(stage: Stage, climber: Climber, seconds: number): Climber['metrics'] {
  if (stage.weightPercent === 0) return climber.metrics
  const requests = seconds * candidateRate(stage, climber)
  return climber.metrics.map(({ standing, rate }) => {
    const added = expectedLines(exposureOf(stage, climber), rate, standing.phi)
    return { rate, standing: { ...standing, lines: addTo(standing.lines, added, requests) } }
  })
}

function countingSeconds(stage: Stage, metrics: Climber['metrics'], climber: Climber): number {
  const { excess, minCandidateRequests } = stage
  const needed = metrics.map(({ standing, rate }) =>
    excess === null
      ? 0
      : requestsNeeded(standing, expectedLines(exposureOf(stage, climber), rate, standing.phi), excess),
  )
  const most = Math.max(minCandidateRequests, ...needed)
  return most === 0 ? 0 : most / candidateRate(stage, climber)
}

function candidateRate(stage: Stage, { requestsPerSecond }: Climber): number {
  return requestsPerSecond * shareOf(stage)
}

function shareOf({ weightPercent }: Stage): number {
  return weightPercent / 100
}

/** The candidate's share of what is compared. */
function exposureOf({ weightPercent }: Stage, { comparatorPercent }: Climber): number {
  if (comparatorPercent === undefined) return weightPercent / 100
  return weightPercent / (weightPercent + comparatorPercent(weightPercent))
}

function addTo(lines: readonly Line[], added: readonly Line[], times: number): readonly Line[] {
  return lines.map(({ log, slope }, k) => ({
    log: log + times * (added[k]?.log ?? 0),
    slope: slope + times * (added[k]?.slope ?? 0),
  }))
}
