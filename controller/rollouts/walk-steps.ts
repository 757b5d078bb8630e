import type { RolloutSpec } from '../../contract/rollout.ts'
import { budgetFor } from '../judge/ladder.ts'
import { MIN_RECORDED_REQUESTS } from '../judge/recorded.ts'
import { waitingForStep } from './hook-step.ts'
import { deal, isDealt, recordWinner } from './arms.ts'
import { announce, close, replace } from './recreate.ts'
import type { Observation } from './rollout-machine.ts'
import type { RolloutState } from './rollout-state.ts'
import { currentStep, hasBoth, type StepView } from './steps.ts'
import { enterStep, judgedRequests, pausedFor, promote } from './transitions.ts'

/** Steps that are done at once follow each other within one look, until one waits or changes the weight. */
export function walkSteps(state: RolloutState, seen: Observation, spec: RolloutSpec): RolloutState {
  const view = currentStep(state, spec)
  switch (view.kind) {
    case 'done':
      return promote(state, 'all steps are done')
    case 'set-weight':
      return setWeight(state, view, seen, spec)
    case 'mirror':
      return state.mirrorPercent === view.percent
        ? walkSteps(enterStep(state, state.step + 1, seen.now), seen, spec)
        : { ...state, mirrorPercent: view.percent, message: `mirroring ${view.percent} %` }
    case 'pause':
      return waitInPause(state, view, seen, spec)
    case 'ramp':
      return widen(state, view, seen, spec)
    case 'header-route':
      return JSON.stringify(state.headerRoute) === JSON.stringify(view.route)
        ? walkSteps(enterStep(state, state.step + 1, seen.now), seen, spec)
        : {
            ...state,
            headerRoute: view.route,
            message: `${view.route.header}: ${view.route.value} goes to the candidate`,
          }
    case 'analysis':
      return analyse(state, view, seen, spec)
    case 'announce':
      return state.recreation?.notice === view.notice
        ? walkSteps(enterStep(state, state.step + 1, seen.now), seen, spec)
        : announce(state, view, seen.now)
    case 'close':
      return close(state, seen.now)
    case 'deal':
      return isDealt(state, view.weightBp)
        ? walkSteps(enterStep(state, state.step + 1, seen.now), seen, spec)
        : deal(state, view.weightBp)
    case 'replace':
      return replace(state, seen)
    case 'record':
      return record(state, view, seen, spec)
    case 'verdict':
      return awaitVerdict(state, seen, spec)
    case 'approval':
      return pausedFor(state, 'approval', 'waiting for an approval')
    case 'hook':
      return awaitHook(state, view, seen, spec)
  }
}

function setWeight(
  state: RolloutState,
  view: StepView<'set-weight'>,
  seen: Observation,
  spec: RolloutSpec,
): RolloutState {
  if (state.weightBp !== view.weightBp) {
    return { ...state, weightBp: view.weightBp, message: `weight ${view.weightBp / 100} %` }
  }
  return walkSteps(enterStep(state, state.step + 1, seen.now), seen, spec)
}

function waitInPause(
  state: RolloutState,
  view: StepView<'pause'>,
  seen: Observation,
  spec: RolloutSpec,
): RolloutState {
  if (view.durationMs === null) return pausedFor(state, 'pause-step', 'pausing until somebody resumes')
  const remainingMs = (state.stepSince ?? seen.now) + view.durationMs - seen.now
  if (remainingMs > 0) {
    return pausedFor(
      state,
      'pause-step',
      `pausing, ${Math.ceil(remainingMs / 1000)} s of ${Math.round(view.durationMs / 1000)} s left`,
    )
  }
  const missing = whatPauseMisses(state, view, seen, spec)
  if (missing !== null) return pausedFor(state, 'pause-step', `the time is up; ${missing}`)
  return walkSteps(
    enterStep({ ...state, phase: 'Progressing', cause: null }, state.step + 1, seen.now),
    seen,
    spec,
  )
}

function whatPauseMisses(
  state: RolloutState,
  view: StepView<'pause'>,
  seen: Observation,
  { analysis }: RolloutSpec,
): string | null {
  if (seen.holds.length > 0) return seen.holds.join('; ')
  if (!hasBoth(state.weightBp)) return null
  const enough =
    analysis.advance === 'time'
      ? judgedRequests(state) - state.requestsBeforeStep >= analysis.minRequests
      : seen.allows(view.nextWeightPercent, view.riskBudget)
  return enough ? null : `waiting for the evidence for ${view.nextWeightPercent} %`
}

function widen(
  state: RolloutState,
  view: StepView<'ramp'>,
  seen: Observation,
  spec: RolloutSpec,
): RolloutState {
  const message = (seen.decision ?? state.lastDecision)?.reason ?? 'no evidence yet'
  if (state.weightBp === 0) return widened(state, view) // the first weight cannot wait for evidence that only it brings
  if (!hasBoth(state.weightBp)) return walkSteps(enterStep(state, state.step + 1, seen.now), seen, spec)
  if (seen.decision === null || !seen.allows(view.nextWeightPercent, view.riskBudget))
    return { ...state, message }
  if (view.atEnd) return walkSteps(enterStep(state, state.step + 1, seen.now), seen, spec)
  return widened(state, view)
}

/** What stable does before the switch is all that there will be to compare with after it. */
function record(
  state: RolloutState,
  view: StepView<'record'>,
  seen: Observation,
  spec: RolloutSpec,
): RolloutState {
  const requests = (seen.decision ?? state.lastDecision)?.exposure.stable ?? 0
  const leftMs = Math.max(0, (state.stepSince ?? seen.now) + view.durationMs - seen.now)
  if (leftMs === 0 && requests >= MIN_RECORDED_REQUESTS)
    return walkSteps(enterStep(state, state.step + 1, seen.now), seen, spec)
  const soFar = `${requests} requests so far, ${MIN_RECORDED_REQUESTS} needed`
  return { ...state, message: `recording stable: ${Math.ceil(leftMs / 1000)} s left; ${soFar}` }
}

/** `analysis.advance: time` asks for the number of requests alone. */
function analyse(
  state: RolloutState,
  view: StepView<'analysis'>,
  seen: Observation,
  spec: RolloutSpec,
): RolloutState {
  const requests = judgedRequests(state) - state.requestsBeforeStep
  const enough = requests >= view.minRequests && seen.decision !== null && seen.allows(100, view.excess)
  if (enough) return walkSteps(enterStep(state, state.step + 1, seen.now), seen, spec)
  const message = [
    `analysing: excess of ${inPoints(budgetFor(100, view.excess))} to be ruled out`,
    ...(state.lastDecision && state.lastDecision.u < 1
      ? [`at most ${inPoints(state.lastDecision.u)} so far`]
      : []),
    ...(requests < view.minRequests ? [`${requests} of ${view.minRequests} candidate requests`] : []),
    ...seen.holds,
  ]
  return { ...state, message: message.join('; ') }
}

function inPoints(fraction: number): string {
  return `${Number((fraction * 100).toPrecision(3))} pp`
}

/** It is asked when the step has been entered, in the commit that enters it. */
function awaitHook(
  state: RolloutState,
  view: StepView<'hook'>,
  seen: Observation,
  spec: RolloutSpec,
): RolloutState {
  const answer = seen.hooks?.steps.get(state.step)
  if (answer?.passed) return walkSteps(enterStep(state, state.step + 1, seen.now), seen, spec)
  return { ...state, message: waitingForStep(state.step, view, answer) }
}

function awaitVerdict(state: RolloutState, seen: Observation, spec: RolloutSpec): RolloutState {
  if (seen.decision?.action === 'advance')
    return walkSteps(enterStep(recordWinner(state, seen.decision), state.step + 1, seen.now), seen, spec)
  return { ...state, message: (seen.decision ?? state.lastDecision)?.reason ?? 'no evidence yet' }
}

function widened(state: RolloutState, { nextWeightPercent }: StepView<'ramp'>): RolloutState {
  return {
    ...state,
    weightBp: Math.round(nextWeightPercent * 100),
    message: `widening to ${nextWeightPercent} %`,
  }
}
