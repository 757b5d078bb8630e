import { inWords } from './duration.ts'
import { explainArms } from './explain-arms.ts'
import { explainGate } from './hook-gate.ts'
import { notCounted, toRate } from './outlook.ts'
import { isOver, type RolloutState } from './rollout-state.ts'
import type { StoredRollout } from './rollout-store.ts'
import { judgedRequests } from './transitions.ts'

type Explained = Pick<StoredRollout, 'name' | 'state' | 'file'>

/** What a rollout waits for and what it takes, a sentence each, the most important first. */
export function explainRollout(rollout: Explained, now: number): readonly string[] {
  const { state } = rollout
  if (state.gate !== null && !isOver(state))
    return [...explainGate(state.gate), ...harm(state), ...warnings(state)]
  switch (state.phase) {
    case 'Progressing':
    case 'Paused':
      return [
        ...whatItWaitsFor(rollout),
        ...explainArms(state),
        ...wayAhead(rollout, now),
        ...harm(state),
        ...warnings(state),
      ]
    case 'Pending':
      return [
        state.message,
        'the candidate gets no traffic until exactly this version answers',
        ...warnings(state),
      ]
    case 'Promoting':
      return [`${state.message}: waiting until every gateway worker has exchanged the versions`]
    case 'RollingBack':
      return [`${state.message}: ${waitingToBeBack(state)}`, ...harm(state)]
    default:
      return [`${state.phase}: ${state.message}`, ...explainArms(state), ...harm(state)]
  }
}

function waitingToBeBack({ recreation, stable }: RolloutState): string {
  if (recreation?.stage === 'closed')
    return `the route is closed, waiting until version ${stable.version} runs again`
  return 'waiting until every gateway worker has taken the traffic off the candidate'
}

function whatItWaitsFor(rollout: Explained): readonly string[] {
  const { state } = rollout
  const evidence = evidenceStillNeeded(state)
  if (state.phase === 'Paused') return [`${state.message}${remedy(rollout)}`, ...evidence]
  const isJudgesWord = state.message === state.lastDecision?.reason
  if (isJudgesWord && evidence.length > 0) return [...evidence, `at the last look: ${state.message}`]
  return [`at ${state.weightBp / 100} %: ${state.message}`, ...evidence]
}

/** "holding at 10 %: 412 of about 668 candidate requests needed to rule out 1 percentage point; at 20 rps that is 2 min 10 s" */
function evidenceStillNeeded({ weightBp, outlook, lastDecision }: RolloutState): readonly string[] {
  const next = outlook?.next
  if (!next || lastDecision === null) return []
  const excess = `rule out ${inPoints(next.excess)} of excess`
  const rate = `at ${toRate(outlook.requestsPerSecond)} rps`
  const weight = `${next.weightPercent} %`
  const holding = `holding at ${weightBp / 100} %`
  if (next.candidateRequests === null || next.seconds === null)
    return [`${holding}: no number of requests can ${excess}, for ${weight}, ${rate}`]
  const soFar = lastDecision.exposure.candidate
  if (next.candidateRequests === 0)
    return [`the ${soFar} candidate requests so far ${excess}, enough for ${weight}`]
  const needed = `${soFar} of about ${soFar + next.candidateRequests} candidate requests needed to ${excess}`
  return [`${holding}: ${needed}, for ${weight}; ${rate} that is ${inWords(next.seconds)}`]
}

function remedy({ name, state: { cause } }: Explained): string {
  switch (cause) {
    case 'approval':
      return `: weir rollout approve ${name} goes on, weir rollout reject ${name} withdraws`
    case 'operator':
    case 'manual-change':
    case 'deadline':
    case 'metric-error':
      return ` (weir rollout resume ${name}, or abort)`
    default:
      return ''
  }
}

function wayAhead({ state, file: { spec } }: Explained, now: number): readonly string[] {
  const { deadlineFrom, outlook } = state
  const { after, do: asked } = spec.onDeadline
  const end = judgedRequests(state) === 0 ? 'pause' : asked // missing evidence never withdraws
  const left = deadlineFrom + after - now
  const deadline =
    left > 0
      ? `the deadline is in ${inWords(left / 1000)}, then it is ${end === 'pause' ? 'paused' : 'rolled back'}`
      : 'its deadline is over'
  if (outlook === null) return [`how long it takes is not known yet; ${deadline}`]
  if (outlook.seconds === null) return [`at this traffic it is never promoted; ${deadline}`]
  const uncounted = notCounted(outlook, spec.analysis.webhooks)
  return [
    `about ${inWords(outlook.seconds)} until it is promoted, if the candidate is as good as stable${uncounted}; ${deadline}`,
  ]
}

function harm({ lastDecision }: RolloutState): readonly string[] {
  if (lastDecision === null) return []
  const { e, threshold, exposure } = lastDecision
  const value = e >= 1e6 ? e.toExponential(1) : String(Number(e.toPrecision(3)))
  const judged = `${exposure.candidate} candidate and ${exposure.stable} stable requests`
  return [`evidence of harm is ${value} of the ${threshold} that withdraw it, on ${judged}`]
}

function warnings({ warnings }: RolloutState): readonly string[] {
  return warnings.map(({ name, message }) => `warning (${name}): ${message}`)
}

function inPoints(fraction: number): string {
  const points = Number((fraction * 100).toPrecision(3))
  return `${points} percentage point${points === 1 ? '' : 's'}`
}
